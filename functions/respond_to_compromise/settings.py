"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class RespondToCompromiseSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    transfers_table: str = Field(description="the DynamoDB table of transfers", examples=["transfers"])
    envelopes_table: str = Field(
        description="the DynamoDB table that says which containers need which keys", examples=["envelopes"]
    )
    incidents_table: str = Field(description="the DynamoDB table of incidents", examples=["incidents"])
    incidents_queue_url: str = Field(
        description="the SQS queue by which the function goes on with an incident", examples=["https://..."]
    )
    data_bucket: str = Field(description="the S3 bucket that holds encrypted models", examples=["models"])
    queue_url: str = Field(description="the SQS queue that transfer requests go to", examples=["https://..."])
    key_orders_queue_url: str = Field(
        description="the FIFO queue of orders for the key service", examples=["https://..."]
    )
    event_bus: str = Field(description="the EventBridge bus of the environment", examples=["pqtransfer-dev"])
    audit_queue_url: str = Field(description="the queue that audit events go to", examples=["https://..."])
    audit_bucket: str = Field(description="the S3 bucket of the audit log", examples=["pqtransfer-dev-audit"])
    audit_trust_bucket: str = Field(
        description="the S3 bucket of the public keys of the audit log", examples=["pqtransfer-dev-audit-trust"]
    )
    audit_origin: str = Field(description="the name under which the audit log signs", examples=["example.org/audit"])
    minimum_suite: Literal["PQT-1", "PQT-2"] = Field(default="PQT-1", description="the weakest suite that is accepted")
    poll_seconds: int = Field(
        default=10, ge=1, le=900, description="how long to wait before looking again at what workers do"
    )
    removal_wait_minutes: int = Field(
        default=60, ge=0, description="how long a container that was re-encrypted is kept before it is removed"
    )
