"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class WitnessCheckpointSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    origin: str = Field(
        description="the name under which the audit log signs",
        examples=["pqtransfer-dev.123456789012.eu-central-1/audit"],
    )
    witness_name: str = Field(
        description="the name under which this witness signs",
        examples=["pqtransfer-dev.123456789012.eu-central-1/witness"],
    )
    audit_bucket: str = Field(description="the bucket of the audit log's files", examples=["audit"])
    audit_trust_bucket: str = Field(
        description="the bucket of the audit log's public keys, and of the witness's memory", examples=["audit-trust"]
    )
    witness_keys_id: str = Field(
        description="the name in the secret service of what the witness's keys are derived from",
        examples=["pqtransfer/dev/audit/witness-keys"],
    )
    former_witness_keys_id: str | None = Field(
        default=None,
        description="where the witness's keys were derived from before; they sign along until they are revoked",
        examples=["pqtransfer/dev/audit/witness-keys"],
    )
    audit_queue_url: str = Field(description="the SQS queue that a change of keys is told to", examples=["https://..."])
    event_bus: str = Field(description="the EventBridge bus that alerts are raised on", examples=["pqtransfer-dev"])
