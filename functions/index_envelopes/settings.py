"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class IndexEnvelopesSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    envelopes_table: str = Field(
        description="the DynamoDB table that says which containers need which keys", examples=["envelopes"]
    )
    data_bucket: str = Field(description="the S3 bucket that holds encrypted models", examples=["models"])
    reread_hours: int = Field(
        default=24, ge=1, le=720, description="how often all containers are read again, before a key may be destroyed"
    )
