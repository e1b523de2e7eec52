"""What waits for the fleet and how busy it is: from the queue, the ledger and CloudWatch, each at a bounded cost.

Bytes that wait are known without a scan: one page of the ledger's index by state, of those that have waited longest,
stands for the others (docs/adr/0024 says why).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from pqtransfer.aws.clients import Session, client_config
from pqtransfer.aws.failures import translated
from pqtransfer.aws.transfer_items import STATE_INDEX
from pqtransfer.scaling.observing import WaitingTransfer
from pqtransfer.transfers.ledger import TransferState
from pqtransfer.transfers.request import MalformedRequestError, TransferKind, TransferRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_sqs import SQSClient

SAMPLE_SIZE = 200
MINUTE_SECONDS = 60
CPU_MINUTES = 6
"""One more than is looked at: the last minute may not be complete."""
MESSAGES_LIVE_AT_MOST = timedelta(days=14)
"""SQS keeps none for longer: what has waited longer in the ledger has lost its message."""


class QueueDepth:
    """How long a queue is."""

    def __init__(self, client: "SQSClient", *, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    @classmethod
    def open(cls, session: Session, *, queue_url: str) -> "QueueDepth":
        """The depth of a queue in a session's account."""
        return cls(session.client("sqs", config=client_config()), queue_url=queue_url)

    def read(self) -> tuple[int, int]:
        """How many messages wait, and how many are in somebody's hands.

        Raises:
            CloudError: the queue could not be asked.
        """
        with translated(action="look at the length of the transfer queue"):
            found = self._client.get_queue_attributes(
                QueueUrl=self._queue_url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])


class WaitingTransfers:
    """The transfers that have waited longest."""

    def __init__(self, table: "Table") -> None:
        self._table = table

    @classmethod
    def open(cls, session: Session, *, table_name: str) -> "WaitingTransfers":
        """Those of a ledger's table."""
        return cls(session.resource("dynamodb", config=client_config()).Table(table_name))

    def read(self, *, now: datetime) -> Sequence[WaitingTransfer]:
        """At most `SAMPLE_SIZE`. Rows that no worker would take are left out.

        Raises:
            CloudError: the ledger could not be read.
        """
        with translated(action="look at what waits"):
            page = self._table.query(
                IndexName=STATE_INDEX,
                KeyConditionExpression=Key("state").eq(TransferState.SUBMITTED)
                & Key("submitted_at").gt((now - MESSAGES_LIVE_AT_MOST).isoformat(timespec="microseconds")),
                ProjectionExpression="#request, submitted_at",
                ExpressionAttributeNames={"#request": "request"},
                Limit=SAMPLE_SIZE,
            )
        found = (_read_row(item) for item in page["Items"])
        return tuple(each for each in found if each is not None)


class FleetMetrics:
    """CPU and network of a service, as ECS and Container Insights measure them."""

    def __init__(self, client: Any, *, cluster: str, service: str) -> None:
        self._client = client
        self._dimensions = [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}]

    @classmethod
    def open(cls, session: Session, *, cluster: str, service: str) -> "FleetMetrics":
        """The metrics of a service in a session's account."""
        return cls(session.client("cloudwatch", config=client_config()), cluster=cluster, service=service)

    def read(self, *, now: datetime) -> tuple[Sequence[float], float | None]:
        """CPU in percent by the minute, oldest first; bytes per second of a task on average, None when not measured.

        Raises:
            CloudError: CloudWatch could not be asked.
        """
        with translated(action="look at the metrics of the fleet"):
            answer = self._client.get_metric_data(
                MetricDataQueries=[
                    self._query("cpu", "AWS/ECS", "CPUUtilization"),
                    self._query("network", "ECS/ContainerInsights", "NetworkTxBytes"),
                ],
                StartTime=now - timedelta(minutes=CPU_MINUTES),
                EndTime=now + timedelta(minutes=1),
                ScanBy="TimestampAscending",
            )
        values = {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
        network = values.get("network", [])
        return tuple(values.get("cpu", [])), network[-1] if network else None

    def _query(self, id_: str, namespace: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": namespace, "MetricName": name, "Dimensions": self._dimensions}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": MINUTE_SECONDS, "Stat": "Average"}}


class QueueAge:
    """How long the oldest message of a queue has been there, as SQS measures it."""

    def __init__(self, client: Any, *, queue_name: str) -> None:
        self._client = client
        self._queue_name = queue_name

    @classmethod
    def open(cls, session: Session, *, queue_url: str) -> "QueueAge":
        """The age of a queue in a session's account."""
        return cls(session.client("cloudwatch", config=client_config()), queue_name=queue_url.rpartition("/")[2])

    def read(self, now: datetime) -> float | None:
        """Seconds, as they were measured last; None when they were not.

        Raises:
            CloudError: CloudWatch could not be asked.
        """
        metric = {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": self._queue_name}],
        }
        stat = {"Metric": metric, "Period": MINUTE_SECONDS, "Stat": "Maximum"}
        with translated(action="look at the age of the transfer queue"):
            answer = self._client.get_metric_data(
                MetricDataQueries=[{"Id": "age", "MetricStat": stat}],
                StartTime=now - timedelta(minutes=CPU_MINUTES),
                EndTime=now + timedelta(minutes=1),
                ScanBy="TimestampAscending",
            )
        values = [value for result in answer["MetricDataResults"] for value in result["Values"]]
        return float(values[-1]) if values else None


def _read_row(item: Any) -> WaitingTransfer | None:
    """What one row says; None when no worker would take it."""
    try:
        request = TransferRequest.from_json(item["request"])
        submitted_at = datetime.fromisoformat(item["submitted_at"])
    except (KeyError, TypeError, ValueError, MalformedRequestError):
        return None
    if request.kind is TransferKind.UPLOAD or submitted_at.tzinfo is None:
        return None
    return WaitingTransfer(
        submitted_at=submitted_at,
        size_bytes=request.expected_size_bytes,
        deadline=request.deadline,
        priority=request.priority,
    )
