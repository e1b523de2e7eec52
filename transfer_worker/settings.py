"""What a worker must be told, and by which environment variable. The infrastructure reads the names from here."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings
from pqtransfer.operations.pace import LEAST_SECONDS, SLOW_UNDER_BYTES_PER_SECOND

MEBIBYTE = 1 << 20


class WorkerSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: Literal["local", "dev", "staging", "production"] = Field(
        description="the name of the environment the worker belongs to", examples=["local"]
    )
    queue_url: str = Field(description="the SQS queue that transfer requests arrive on", examples=["https://..."])
    dead_letter_queue_url: str = Field(
        description="the SQS queue for messages that can never be processed", examples=["https://..."]
    )
    transfers_table: str = Field(description="the DynamoDB table of transfers", examples=["transfers"])
    checkpoints_table: str = Field(description="the DynamoDB table of checkpoints", examples=["checkpoints"])
    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    envelopes_table: str = Field(
        description="the DynamoDB table that says which containers need which keys", examples=["envelopes"]
    )
    data_bucket: str = Field(description="the S3 bucket that holds encrypted models", examples=["models"])
    checkpoint_key_arn: str = Field(
        description="the KMS key that seals data keys in checkpoints", examples=["arn:aws:kms:..."]
    )
    participant_role_prefix: str = Field(
        description="the ARN of a managed participant's role, up to the participant's name",
        examples=["arn:aws:iam::123456789012:role/pqtransfer/dev/participants/pqtransfer-dev-participant-"],
    )
    audit_queue_url: str = Field(description="the SQS queue of the audit log", examples=["https://..."])
    audit_spool: Path | None = Field(
        default=None,
        description="a directory that outlives the worker, in which audit events wait for their queue",
        examples=["/var/lib/pqtransfer/audit"],
    )
    data_endpoint_url: str | None = Field(
        default=None,
        description="the endpoint of the data bucket where it is not AWS",
        examples=["http://127.0.0.1:8333"],
    )
    data_profile: str | None = Field(
        default=None, description="the AWS profile with credentials for the data bucket alone", examples=["data"]
    )
    health_host: str = Field(default="127.0.0.1", description="the address the health endpoint binds to")
    health_port: int = Field(default=8080, ge=0, le=65535, description="the port of the health endpoint (0: any free)")
    long_poll_seconds: int = Field(
        default=20, ge=1, le=20, description="how long one request waits for a message; a stop waits for it too"
    )
    max_receives: int = Field(
        default=5, ge=1, description="after how many receives that led nowhere a request is given up"
    )
    minimum_suite: Literal["PQT-1", "PQT-2"] = Field(
        default="PQT-1", description="the weakest suite the worker accepts"
    )
    lease_seconds: int = Field(default=60, ge=6, description="how long a claim lasts without a heartbeat")
    stop_timeout_seconds: int = Field(default=110, ge=5, description="the time between SIGTERM and SIGKILL")
    memory_limit_bytes: int | None = Field(
        default=None, ge=1, description="the memory that the worker's task is given (left out: what its machine says)"
    )
    cpu_limit: float | None = Field(
        default=None, gt=0, description="the CPUs that the worker's task is given (left out: what its machine says)"
    )
    busy_sample_seconds: float = Field(
        default=10.0, gt=0, description="how often metrics are published while a transfer runs"
    )
    idle_sample_seconds: float = Field(
        default=60.0, gt=0, description="how often metrics are published while no transfer runs"
    )
    slow_under_bytes_per_second: float = Field(
        default=SLOW_UNDER_BYTES_PER_SECOND,
        gt=0,
        description="the rate under which a transfer is slow, if its source could have delivered it",
    )
    slow_after_seconds: float = Field(
        default=LEAST_SECONDS, gt=0, description="over how long a time that rate is measured at least"
    )
    buffer_budget_bytes: int = Field(
        default=256 * MEBIBYTE, ge=64 * MEBIBYTE, description="the memory that part buffers may take together"
    )
