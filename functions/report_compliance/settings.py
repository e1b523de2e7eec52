"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class ReportComplianceSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    origin: str = Field(
        description="the name under which the audit log signs",
        examples=["pqtransfer-dev.123456789012.eu-central-1/audit"],
    )
    audit_bucket: str = Field(description="the bucket of the audit log's files, and of its reports", examples=["audit"])
    audit_trust_bucket: str = Field(description="the bucket of the audit log's public keys", examples=["audit-trust"])
    event_bus: str = Field(
        description="the EventBridge bus on which a report that takes several runs goes on", examples=["pqtransfer-dev"]
    )
    audit_queue_url: str = Field(description="the SQS queue that audit events are sent to", examples=["https://..."])
