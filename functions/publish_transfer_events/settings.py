"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class PublishTransferEventsSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    event_bus: str = Field(description="the EventBridge bus that learns of each change", examples=["pqtransfer-dev"])
    audit_queue_url: str = Field(description="the SQS queue of the audit log", examples=["https://..."])
