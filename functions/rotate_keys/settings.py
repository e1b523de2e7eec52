"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings
from pqtransfer.keys.rotation import RotationPolicy


class RotateKeysSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: Literal["local", "dev", "staging", "production"] = Field(
        description="the name of the environment the function belongs to", examples=["local"]
    )
    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    envelopes_table: str = Field(
        description="the DynamoDB table that says which envelopes need which keys", examples=["envelopes"]
    )
    key_orders_queue_url: str = Field(
        description="the FIFO queue of orders for the key service",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/key-orders.fifo"],
    )
    audit_queue_url: str = Field(
        description="the queue that audit events go to",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/audit.fifo"],
    )
    event_bus: str = Field(description="the EventBridge bus that learns of new keys", examples=["pqtransfer-dev"])
    secrets_key_arn: str | None = Field(
        default=None,
        description="the KMS key that encrypts private keys (without it: the account's key of Secrets Manager)",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/..."],
    )
    key_backups_bucket: str = Field(
        description="the bucket of the backups of private keys", examples=["pqtransfer-dev-key-backups"]
    )
    key_backups_key_arn: str = Field(
        description="the KMS key that seals backups", examples=["arn:aws:kms:eu-central-1:123456789012:key/..."]
    )
    recovery_public_key: str = Field(
        description="the public key, as a document, whose private half opens backups offline",
        examples=['{"format":"pqtransfer-public-key/1",...}'],
    )
    kem_key_days: int = Field(default=90, description="after how many days a KEM key is rotated")
    signing_key_days: int = Field(default=90, description="after how many days a signing key is rotated")
    retiring_key_days: int = Field(default=7, description="how long a rotated key is RETIRING")
    retired_key_days: int = Field(default=30, description="how long it is RETIRED before it may be destroyed")
    rotation_patience_seconds: int = Field(
        default=120, ge=1, description="how long a rotation can last; longer than the function may run"
    )

    @property
    def policy(self) -> RotationPolicy:
        """How long keys live here."""
        return RotationPolicy(
            kem_days=self.kem_key_days,
            signing_days=self.signing_key_days,
            retiring_days=self.retiring_key_days,
            retired_days=self.retired_key_days,
        )

    @property
    def patience(self) -> timedelta:
        """How long another run is waited for."""
        return timedelta(seconds=self.rotation_patience_seconds)
