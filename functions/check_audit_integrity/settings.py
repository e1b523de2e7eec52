"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class CheckAuditIntegritySettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    origin: str = Field(
        description="the name under which the audit log signs",
        examples=["pqtransfer-dev.123456789012.eu-central-1/audit"],
    )
    audit_bucket: str = Field(description="the bucket of the audit log's files", examples=["audit"])
    audit_trust_bucket: str = Field(
        description="the bucket of the audit log's public keys, and of the check's memory", examples=["audit-trust"]
    )
    audit_state_table: str = Field(description="the DynamoDB table of the audit log's state", examples=["audit-state"])
    audit_queue_url: str = Field(description="the SQS queue that audit events are sent to", examples=["https://..."])
    event_bus: str = Field(description="the EventBridge bus that alerts are raised on", examples=["pqtransfer-dev"])
