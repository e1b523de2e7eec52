"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class DrillKeyRestoreSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: Literal["local", "dev", "staging", "production"] = Field(
        description="the name of the environment the function belongs to", examples=["local"]
    )
    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    key_backups_bucket: str = Field(
        description="the bucket of the backups of private keys", examples=["pqtransfer-dev-key-backups"]
    )
    key_backups_key_arn: str = Field(
        description="the KMS key that opens backups", examples=["arn:aws:kms:eu-central-1:123456789012:key/..."]
    )
    event_bus: str = Field(description="the EventBridge bus that alerts go to", examples=["pqtransfer-dev"])
    audit_queue_url: str = Field(
        description="the queue that audit events go to",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/audit.fifo"],
    )
