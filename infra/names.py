"""The names that more than one part must know before anything is deployed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """Names of one environment. What nobody has to know by name gets a generated one."""

    environment: str
    account: str
    region: str

    def stack(self, part: str) -> str:
        """`Storage` -> `PqtransferStorage-dev`."""
        return f"Pqtransfer{part}-{self.environment}"

    @property
    def prefix(self) -> str:
        """What the names of roles, the bus and the load balancer begin with."""
        return f"pqtransfer-{self.environment}"

    @property
    def worker_role(self) -> str:
        """The worker's task role; participants' roles name it in their trust policy."""
        return f"{self.prefix}-worker"

    @property
    def key_service_role(self) -> str:
        """The role of the function that rotates keys; participants' roles name it in their trust policy."""
        return f"{self.prefix}-key-service"

    @property
    def protection_role(self) -> str:
        """The role of the function that renews envelopes; participants' roles trust it too."""
        return f"{self.prefix}-protection"

    @property
    def incident_response_role(self) -> str:
        """The role of the function that answers a compromise; participants' roles trust it too."""
        return f"{self.prefix}-incident-response"

    @property
    def key_backups_bucket(self) -> str:
        """The bucket of the backups of private keys: named, so that what is restored can be found without a stack."""
        return f"{self.prefix}-{self.account}-{self.region}-key-backups"

    @property
    def data_bucket(self) -> str:
        """The bucket of encrypted models: named, so that sites can let it into their own policies beforehand."""
        return f"{self.prefix}-{self.account}-{self.region}-data"

    @property
    def audit_bucket(self) -> str:
        """The files of the audit log."""
        return f"{self.prefix}-{self.account}-{self.region}-audit"

    @property
    def audit_trust_bucket(self) -> str:
        """Public keys of the audit log, and what its witness and its checks remember."""
        return f"{self.prefix}-{self.account}-{self.region}-audit-trust"

    @property
    def audit_origin(self) -> str:
        """The name under which the audit log signs."""
        return f"{self.prefix}.{self.account}.{self.region}/audit"

    @property
    def audit_witness(self) -> str:
        """The name under which the audit log's witness signs."""
        return f"{self.prefix}.{self.account}.{self.region}/witness"

    @property
    def audit_log_secret(self) -> str:
        """The secret that the audit log's keys are derived from."""
        return f"pqtransfer/{self.environment}/audit/log-keys"

    @property
    def audit_witness_secret(self) -> str:
        """The secret that the keys of the audit log's witness are derived from."""
        return f"pqtransfer/{self.environment}/audit/witness-keys"

    @property
    def alert_channels(self) -> str:
        """The secret that says over which channels people are told of alerts."""
        return f"pqtransfer/{self.environment}/alerts/channels"

    @property
    def event_bus(self) -> str:
        """The bus; its encryption key names it."""
        return self.prefix

    def alarm(self, kind: str) -> str:
        """`memory-high` -> `pqtransfer-dev-memory-high`: whoever is told of an alarm knows it by its name."""
        return f"{self.prefix}-{kind}"

    @property
    def log_group_prefix(self) -> str:
        """What every log group's name begins with; the key that encrypts them is bound to it."""
        return f"/pqtransfer/{self.environment}"

    @property
    def participant_path(self) -> str:
        """The IAM path of managed participants' roles."""
        return f"/pqtransfer/{self.environment}/participants/"

    @property
    def participant_role_prefix(self) -> str:
        """What the name of a managed participant's role begins with."""
        return f"{self.prefix}-participant-"

    @property
    def participant_secret_prefix(self) -> str:
        """What the name of a managed participant's secret begins with."""
        return f"pqtransfer/{self.environment}/participants/"
