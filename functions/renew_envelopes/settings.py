"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class RenewEnvelopesSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    participants_table: str = Field(description="the DynamoDB table of the key registry", examples=["participants"])
    transfers_table: str = Field(description="the DynamoDB table of transfers", examples=["transfers"])
    envelopes_table: str = Field(
        description="the DynamoDB table that says which containers need which keys", examples=["envelopes"]
    )
    renewals_queue_url: str = Field(
        description="the SQS queue of the pages of envelopes to renew", examples=["https://..."]
    )
    data_bucket: str = Field(description="the S3 bucket that holds encrypted models", examples=["models"])
    audit_queue_url: str = Field(description="the queue that audit events go to", examples=["https://..."])
    minimum_suite: Literal["PQT-1", "PQT-2"] = Field(default="PQT-1", description="the weakest suite that is accepted")
