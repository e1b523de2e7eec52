"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings


class ProcessAlertsSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: str = Field(description="the name of the environment", examples=["dev"])
    alerts_table: str = Field(description="the DynamoDB table of alerts", examples=["alerts"])
    transfers_table: str = Field(description="the DynamoDB table of transfers", examples=["transfers"])
    alerts_topic_arn: str = Field(description="the SNS topic of the administrators", examples=["arn:aws:sns:..."])
    channels_id: str = Field(
        description="the secret that says which channels there are beside mail", examples=["pqtransfer/dev/alerts"]
    )
    webhook_hosts: str = Field(
        default="", description="the hosts that notifications may be sent to", examples=["hooks.slack.com"]
    )
    event_bus: str = Field(description="the EventBridge bus of the environment", examples=["pqtransfer-dev"])
    audit_queue_url: str = Field(description="the queue that audit events go to", examples=["https://..."])
    queue_url: str = Field(description="the SQS queue that transfer requests go to", examples=["https://..."])
    dead_letter_queue_url: str = Field(description="the queue of requests that were given up", examples=["https://..."])
    cluster: str = Field(description="the ECS cluster of the workers", examples=["pqtransfer-dev"])
