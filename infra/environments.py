"""One frozen model per environment: its sizes, limits and security. The only place where environments differ.

The values stand here; `infra.overrides` lays `--context key=value` and `PQTRANSFER_<KEY>` over them.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from infra.ecr_image import EcrImage
from pqtransfer.audit.retention import InvalidRetentionError, RetentionRules

EnvironmentName = Literal["local", "dev", "staging", "production"]
LogRetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 3653]

# What Fargate sells: CPU units -> memory in MiB (smallest, largest, step).
FARGATE_MEMORY_MIB = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16384, 1024),
    4096: (8192, 30720, 1024),
    8192: (16384, 61440, 4096),
}
FARGATE_STOP_TIMEOUT_MAX_SECONDS = 120
# A worker beside its part buffers: interpreter, libraries, connections.
WORKER_BASE_MEMORY_MIB = 256
EMBEDDED_ACCOUNT = "000000000000"
EMBEDDED_REGION = "us-east-1"
SQS_VISIBILITY_MAX_SECONDS = 43200

KMS_KEY_ARN = re.compile(r"arn:aws:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+", re.ASCII)


def split_list(value: object) -> object:
    """`a,b` -> ("a", "b"): the way a list is written in a context value or a variable."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def check_key_arn(value: str) -> str:
    """Nothing but the ARN of a KMS key: permissions know no alias."""
    if not KMS_KEY_ARN.fullmatch(value):
        raise ValueError(f"{value!r} is not the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID (not of an alias)")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]
KeyArns = Annotated[tuple[Annotated[str, AfterValidator(check_key_arn)], ...], BeforeValidator(split_list)]


class EnvironmentConfig(BaseModel):
    """Everything that may differ between two environments. Each field is a `--context` key and a variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: EnvironmentName

    account: str = Field(pattern=r"^\d{12}$", description="the AWS account to deploy to", examples=["123456789012"])
    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="the AWS region to deploy to", examples=["eu-central-1"]
    )

    vpc_cidr: str = Field(default="10.40.0.0/16", description="the address range of the network")
    availability_zones: int = Field(default=2, ge=2, le=3, description="over how many zones the network spreads")
    interface_endpoints: bool = Field(default=True, description="whether AWS services are reached inside the network")
    flow_logs: bool = Field(default=True, description="whether the network's flows are recorded")

    require_tls: bool = Field(default=True, description="whether buckets and queues refuse requests without TLS")
    retain_data: bool = Field(default=True, description="whether data outlives its stack")
    termination_protection: bool = Field(default=True, description="whether the stack that holds data refuses deletion")
    certificate_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:acm:",
        description="the ACM certificate of the internal load balancer",
        examples=["arn:aws:acm:eu-central-1:123456789012:certificate/..."],
    )
    account_may_act_as_worker: bool = Field(
        default=False, description="whether principals of the account may take the worker's role (local processes do)"
    )
    minimum_suite: Literal["PQT-1", "PQT-2"] = Field(default="PQT-1", description="the weakest suite that is accepted")
    source_buckets: Names = Field(
        default=(),
        description="the sites' buckets, in the region of the deployment, that workers may read models from",
        examples=["site-a-models,site-b-models"],
    )
    """Workers have no way to another region: their network reaches AWS through endpoints of its own region alone."""
    destination_buckets: Names = Field(
        default=(),
        description="the sites' buckets, in the region of the deployment, that workers may write models to",
        examples=["site-a-results,site-b-results"],
    )
    """In the deployment's region, as `source_buckets`."""
    source_key_arns: KeyArns = Field(
        default=(),
        description="the KMS keys that models in source_buckets are encrypted with, where they are the sites' own",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"],
    )
    destination_key_arns: KeyArns = Field(
        default=(),
        description="the KMS keys that destination_buckets encrypt with, where they are the sites' own",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"],
    )

    worker_image: str | None = Field(
        default=None,
        description="the worker's container image in ECR; none: built from transfer_worker/Dockerfile",
        examples=["123456789012.dkr.ecr.eu-central-1.amazonaws.com/pqtransfer/transfer-worker:0.1.0"],
    )
    worker_cpu_units: Literal[256, 512, 1024, 2048, 4096, 8192] = Field(default=1024, description="CPU of one worker")
    worker_memory_mib: int = Field(default=2048, description="memory of one worker, in MiB")
    worker_buffer_mib: int = Field(default=192, ge=64, description="what part buffers may take of it together, in MiB")
    workers_minimum: int = Field(default=1, ge=0, description="the number of workers that always run")
    workers_maximum: int = Field(default=4, ge=1, le=500, description="the number of workers that are never exceeded")
    queue_threshold: int = Field(
        default=20, ge=1, description="how many messages may wait for each worker before workers are added"
    )
    drain_seconds: int = Field(
        default=300, ge=10, le=86400, description="within what time the fleet should be able to empty its queue"
    )
    settle_seconds: int = Field(
        default=120, ge=0, le=3600, description="for how long fewer workers were needed before some are let go"
    )
    worker_mb_per_second: int = Field(
        default=100, ge=1, le=600, description="what one worker is expected to move, in MB per second"
    )
    health_port: int = Field(default=8080, ge=1024, le=65535, description="the port of a worker's health endpoint")
    stop_timeout_seconds: int = Field(
        default=120, ge=15, description="the time between SIGTERM and SIGKILL of a worker"
    )
    lease_seconds: int = Field(
        default=60,
        ge=6,
        # The queue hides a message for twice as long.
        le=SQS_VISIBILITY_MAX_SECONDS // 2,
        description="how long a worker's claim lasts without a heartbeat",
    )

    max_receives: int = Field(
        default=5,
        ge=1,
        # SQS counts every receive, and counts to 1000 at most: 20 for each try.
        le=50,
        description="after how many tries that led nowhere a transfer is given up",
    )
    message_retention_days: int = Field(default=14, ge=1, le=14, description="how long a message waits at most")
    abort_upload_days: int = Field(default=3, ge=1, description="after how many days an abandoned upload is dropped")
    old_version_days: int = Field(default=30, ge=1, description="how long an overwritten or deleted object is kept")
    log_retention_days: LogRetentionDays = Field(default=90, description="how long logs are kept")

    audit_retention_days: int = Field(
        default=2557, ge=1, le=36500, description="for how many days nobody can delete a file of the audit log"
    )
    audit_retention_rules: str = Field(
        default="default=90:2557,security=365:2557",
        description="for how many days each class of audit events is hot, and is kept: CLASS=HOT:KEEP",
        examples=["default=90:2557,security=365:3653"],
    )
    audit_lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(
        default="COMPLIANCE", description="whether nobody at all (COMPLIANCE) or only the privileged may lift that lock"
    )
    audit_signer: Literal["secrets", "kms"] = Field(
        default="secrets",
        description="what signs the audit log: keys made of secrets, or keys that never leave KMS; chosen once",
    )
    audit_log_key_generation: int = Field(
        default=1, ge=1, le=999, description="one more than before makes new keys for the audit log; never less"
    )
    audit_witness_key_generation: int = Field(
        default=1, ge=1, le=999, description="one more than before makes new keys for its witness; never less"
    )
    audit_check_minutes: int = Field(default=60, ge=1, le=1440, description="how often the audit log is checked")
    admin_emails: Names = Field(
        default=(),
        description="who is told of alerts, after confirming a message that AWS sends",
        examples=["security@example.org,oncall@example.org"],
    )
    alert_webhook_hosts: Names = Field(
        default=("events.pagerduty.com", "hooks.slack.com"),
        description="the hosts that notifications of alerts may be sent to, over https",
        examples=["events.pagerduty.com,siem.example.org"],
    )
    kem_key_days: int = Field(default=90, ge=1, le=3650, description="after how many days a KEM key is rotated")
    signing_key_days: int = Field(default=90, ge=1, le=3650, description="after how many days a signing key is rotated")
    retiring_key_days: int = Field(
        default=7, ge=1, le=3650, description="how long a key that was rotated is RETIRING, while envelopes leave it"
    )
    retired_key_days: int = Field(
        default=30, ge=1, le=3650, description="how long it is RETIRED then, before it is destroyed if nothing needs it"
    )
    removal_wait_minutes: int = Field(
        default=60,
        ge=0,
        le=43200,
        description="how long the old container of a model that was re-encrypted after the loss of a key is kept, "
        "before the new one is checked again and the old one removed",
    )
    recovery_public_key: str | None = Field(
        default=None,
        description="the file of the public key that backups of private keys are sealed to "
        "(pqtransfer keys recovery-key makes it)",
        examples=["recovery/recovery-public-key.json"],
    )
    """Without one, local makes its own; every other environment refuses, because nobody could restore offline."""
    key_backup_lock_days: int = Field(
        default=365, ge=1, le=36500, description="how long nobody can delete the backup of a private key"
    )
    composite_alarms: bool = Field(
        default=True,
        description="whether one alarm tells for several that have one cause (not every emulator knows such alarms)",
    )
    key_backup_replica_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:s3:::[a-z0-9.-]{3,63}$",
        description="the bucket, best of another account and region, that backups are replicated to",
        examples=["arn:aws:s3:::our-key-backups-replica"],
    )
    key_backup_replica_key_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:",
        description="the KMS key that encrypts the replicas",
        examples=["arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"],
    )

    function_memory_mib: int = Field(default=256, ge=128, le=10240, description="memory of a function, in MiB")
    function_timeout_seconds: int = Field(default=30, ge=3, le=900, description="how long a function may run")

    @property
    def is_local(self) -> bool:
        """Whether this is the embedded cloud on this machine."""
        return self.name == "local"

    @model_validator(mode="after")
    def _check_compatible(self) -> Self:
        problems = [
            *self._sizes_that_do_not_fit(),
            *self._places_that_do_not_fit(),
            *self._retention_that_does_not_fit(),
            *self._security_that_does_not_fit(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _sizes_that_do_not_fit(self) -> list[str]:
        problems = []
        smallest, largest, step = FARGATE_MEMORY_MIB[self.worker_cpu_units]
        if not smallest <= self.worker_memory_mib <= largest or self.worker_memory_mib % step:
            problems.append(
                f"worker_memory_mib={self.worker_memory_mib} is not sold with "
                f"worker_cpu_units={self.worker_cpu_units}: choose {smallest} to {largest} in steps of {step}"
            )
        if self.worker_buffer_mib + WORKER_BASE_MEMORY_MIB > self.worker_memory_mib:
            problems.append(
                f"worker_buffer_mib={self.worker_buffer_mib} leaves less than {WORKER_BASE_MEMORY_MIB} MiB of "
                f"worker_memory_mib={self.worker_memory_mib} to the worker itself: lower the one or raise the other"
            )
        if self.workers_minimum > self.workers_maximum:
            problems.append(
                f"workers_minimum={self.workers_minimum} is more than workers_maximum={self.workers_maximum}: "
                "lower the one or raise the other"
            )
        if self.stop_timeout_seconds > FARGATE_STOP_TIMEOUT_MAX_SECONDS:
            problems.append(
                f"stop_timeout_seconds={self.stop_timeout_seconds} is more than Fargate grants: "
                f"set {FARGATE_STOP_TIMEOUT_MAX_SECONDS} or less"
            )
        return problems

    def _places_that_do_not_fit(self) -> list[str]:
        problems = []
        for name in ("source_key_arns", "destination_key_arns"):
            problems += [
                f"{name} has {arn}, which is not in {self.region}: the sites' buckets have to be there, and S3 uses "
                "keys of a bucket's own region"
                for arn in getattr(self, name)
                if arn.split(":")[3] != self.region
            ]
        if not self.is_local and self.worker_image is not None:
            image = EcrImage.parse(self.worker_image)
            if image is None or image.region != self.region:
                problems.append(
                    f"worker_image={self.worker_image} is not in ECR in {self.region}, and the workers reach no other "
                    f"registry: push it there and write ACCOUNT.dkr.ecr.{self.region}.amazonaws.com/REPOSITORY:TAG "
                    "(or @sha256:DIGEST), or leave worker_image out, and the image is built"
                )
        return problems

    def _retention_that_does_not_fit(self) -> list[str]:
        try:
            rules = RetentionRules.from_text(self.audit_retention_rules)
        except InvalidRetentionError as error:
            return [f"audit_retention_rules={self.audit_retention_rules}: {error}"]
        if rules.shortest_keep_days < self.audit_retention_days:
            return [
                f"audit_retention_rules={self.audit_retention_rules} purges after {rules.shortest_keep_days} days, and "
                f"audit_retention_days={self.audit_retention_days} locks for longer: keep each class for as long"
            ]
        return []

    def _security_that_does_not_fit(self) -> list[str]:
        if self.is_local:
            return self._local_that_does_not_fit()
        problems = [
            f"{key}=false is for local alone: leave it out"
            for key in ("require_tls", "interface_endpoints")
            if not getattr(self, key)
        ]
        if (self.key_backup_replica_arn is None) != (self.key_backup_replica_key_arn is None):
            problems.append("key_backup_replica_arn and key_backup_replica_key_arn go together: set both, or neither")
        if self.account_may_act_as_worker:
            problems.append("account_may_act_as_worker=true is for local alone: leave it out")
        if self.account == EMBEDDED_ACCOUNT:
            problems.append(f"account={EMBEDDED_ACCOUNT} is the embedded cloud's: name the account of {self.name}")
        if self.name == "production":
            problems += [
                f"{key}=false is not allowed in production: leave it out"
                for key in ("retain_data", "termination_protection", "flow_logs")
                if not getattr(self, key)
            ]
            if self.audit_lock_mode != "COMPLIANCE":
                problems.append("audit_lock_mode=GOVERNANCE is not allowed in production: leave it out")
            if self.workers_minimum < 1:
                problems.append("workers_minimum=0 leaves production without a worker: set 1 or more")
        return problems

    def _local_that_does_not_fit(self) -> list[str]:
        if self.account != EMBEDDED_ACCOUNT:
            return [f"account={self.account} is not the embedded cloud's: deploy to it with --context env=dev"]
        if self.worker_image is None:
            return ["worker_image is not set, and local builds no image: leave it at its default"]
        if self.audit_signer == "kms":
            return ["audit_signer=kms needs ML-DSA keys, which the embedded cloud's KMS does not have: leave it out"]
        return []
