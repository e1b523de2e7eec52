"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class SequenceAuditLogSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    origin: str = Field(
        description="the name under which the audit log signs",
        examples=["pqtransfer-dev.123456789012.eu-central-1/audit"],
    )
    audit_bucket: str = Field(description="the bucket of the audit log's files", examples=["audit"])
    audit_trust_bucket: str = Field(description="the bucket of the audit log's public keys", examples=["audit-trust"])
    audit_state_table: str = Field(description="the DynamoDB table of the audit log's state", examples=["audit-state"])
    audit_queue_arn: str = Field(
        description="the SQS queue that functions and workers send events to",
        examples=["arn:aws:sqs:eu-central-1:123456789012:system.fifo"],
    )
    site_audit_queue_arn: str = Field(
        description="the SQS queue that sites send events to",
        examples=["arn:aws:sqs:eu-central-1:123456789012:sites.fifo"],
    )
    log_keys_id: str = Field(
        description="the secret that the log's keys are derived from", examples=["pqtransfer/dev/audit/log-keys"]
    )
    former_log_keys_id: str | None = Field(
        default=None,
        description="the secret that the log's keys were derived from before; they sign along until they are revoked",
        examples=["pqtransfer/dev/audit/log-keys"],
    )
    audit_queue_url: str = Field(description="the SQS queue that a change of keys is told to", examples=["https://..."])
    event_bus: str = Field(description="the EventBridge bus that alerts are raised on", examples=["pqtransfer-dev"])
