"""What the function must be told, and by which environment variable. The infrastructure reads the names from here."""

from typing import Literal

from pydantic import Field

from pqtransfer.environment import EnvironmentSettings
from pqtransfer.scaling.policy import ScalingPolicy


class DecideScalingSettings(EnvironmentSettings):
    """Each field is the variable `PQTRANSFER_<FIELD>`."""

    environment: Literal["local", "dev", "staging", "production"] = Field(
        description="the name of the environment the function belongs to", examples=["local"]
    )
    cluster: str = Field(description="the ECS cluster of the workers", examples=["pqtransfer-dev"])
    service: str = Field(description="the ECS service of the workers", examples=["workers"])
    queue_url: str = Field(
        description="the queue that workers drain",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/requests"],
    )
    transfers_table: str = Field(description="the DynamoDB table of transfers", examples=["transfers"])
    decisions_table: str = Field(description="the DynamoDB table of decisions on the fleet", examples=["decisions"])
    audit_queue_url: str = Field(
        description="the queue that audit events go to",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/audit.fifo"],
    )
    event_bus: str = Field(description="the EventBridge bus that alerts go to", examples=["pqtransfer-dev"])
    workers_minimum: int = Field(description="the number of workers that always run", examples=["1"])
    workers_maximum: int = Field(description="the number of workers that are never exceeded", examples=["20"])
    queue_threshold: int = Field(description="how many messages may wait for each worker", examples=["20"])
    drain_seconds: int = Field(description="within what time the queue should be empty", examples=["300"])
    settle_seconds: int = Field(
        description="for how long fewer workers were needed before some are let go", examples=["120"]
    )
    worker_mb_per_second: int = Field(description="what one worker moves, in MB per second", examples=["100"])

    def make_policy(self) -> ScalingPolicy:
        """What scaling is held to.

        Raises:
            ContradictoryLimitsError: the values do not go together.
        """
        return ScalingPolicy.create(
            minimum=self.workers_minimum,
            maximum=self.workers_maximum,
            messages_per_worker=self.queue_threshold,
            drain_seconds=self.drain_seconds,
            settle_seconds=self.settle_seconds,
            worker_bytes_per_second=self.worker_mb_per_second * 1e6,
        )
