"""What the queue holds and how many workers the service has, as an operator's role may see it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pqtransfer.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Workload:
    """Numbers that AWS gives approximately, and a little late."""

    messages_waiting: int
    messages_in_flight: int
    workers_desired: int
    workers_running: int


class WorkloadReader:
    """Two calls for each look."""

    def __init__(self, *, sqs: "SQSClient", ecs: "ECSClient", queue_url: str, cluster: str, service: str) -> None:
        self._sqs = sqs
        self._ecs = ecs
        self._queue_url = queue_url
        self._cluster = cluster
        self._service = service

    def read(self) -> Workload:
        """How it stands.

        Raises:
            CloudError: a call failed; `CloudUnavailableError` when it may succeed later.
        """
        with translated(action="look at the transfer queue"):
            counts = self._sqs.get_queue_attributes(
                QueueUrl=self._queue_url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
        with translated(action="look at the fleet's service"):
            services = self._ecs.describe_services(cluster=self._cluster, services=[self._service])["services"]
        return Workload(
            messages_waiting=int(counts["ApproximateNumberOfMessages"]),
            messages_in_flight=int(counts["ApproximateNumberOfMessagesNotVisible"]),
            workers_desired=sum(service["desiredCount"] for service in services),
            workers_running=sum(service["runningCount"] for service in services),
        )
