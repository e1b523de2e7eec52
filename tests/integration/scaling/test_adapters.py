"""What `decide_scaling` asks of AWS, on moto."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws
from uuid6 import uuid7

from pqtransfer.aws.failures import CloudNotFoundError
from pqtransfer.aws.fleet import EcsFleet, FleetState
from pqtransfer.aws.ledger import DynamoTransferLedger
from pqtransfer.aws.scaling_history import DynamoDecisionHistory
from pqtransfer.aws.workload import SAMPLE_SIZE, FleetMetrics, QueueAge, QueueDepth, WaitingTransfers
from pqtransfer.scaling.deciding import Decision
from pqtransfer.scaling.history import DecisionDamagedError, DecisionHistory
from pqtransfer.scaling.observing import WaitingTransfer
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.scaling import InMemoryDecisionHistory

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1")


def make_request(**fields: object) -> TransferRequest:
    known: dict[str, object] = {
        "transfer_id": str(uuid7()),
        "kind": "encrypt",
        "source": "s3://models/model",
        "sender": "site-a",
        "recipients": ["site-b"],
        "correlation_id": "test",
    }
    return TransferRequest.model_validate({**known, **fields})


def test_the_service_is_read_and_scaled(session: boto3.Session) -> None:
    """Of one service of one cluster; one that is not there is named."""
    ecs = session.client("ecs")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(
        family="worker", containerDefinitions=[{"name": "worker", "image": "worker", "memory": 512}]
    )
    ecs.create_service(cluster="c", serviceName="s", taskDefinition="worker", desiredCount=2)
    fleet = EcsFleet.open(session, cluster="c", service="s")
    assert fleet.read() == FleetState(2, 0, 2)
    fleet.set_desired(5)
    assert fleet.read().desired == 5
    assert fleet.count_protected() == 0
    with pytest.raises(CloudNotFoundError, match="deploy the fleet"):
        EcsFleet.open(session, cluster="c", service="other").read()


def test_the_length_of_the_queue(session: boto3.Session) -> None:
    """What waits, and what is in somebody's hands."""
    sqs = session.client("sqs")
    url = sqs.create_queue(QueueName="requests")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    assert QueueDepth.open(session, queue_url=url).read() == (2, 1)


def test_what_waits_is_read_oldest_first_and_never_all_of_it(session: boto3.Session) -> None:
    """Sizes, deadlines and priorities; no uploads, nothing that has lost its message, no row that is damaged."""
    table = session.resource("dynamodb").create_table(
        TableName="transfers",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "transfer_id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("transfer_id", "state", "submitted_at")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "state-index",
                "KeySchema": [
                    {"AttributeName": "state", "KeyType": "HASH"},
                    {"AttributeName": "submitted_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    ledger = DynamoTransferLedger(table)
    deadline = NOW + timedelta(hours=1)
    urgent = make_request(expected_size_bytes=7, deadline=deadline.isoformat(), priority=9)
    ledger.submit(urgent, at=NOW - timedelta(minutes=2))
    ledger.submit(make_request(), at=NOW - timedelta(minutes=1))
    ledger.submit(make_request(kind="upload", source=None), at=NOW)
    ledger.submit(make_request(), at=NOW - timedelta(days=15))
    table.put_item(Item={"transfer_id": "x", "state": "SUBMITTED", "submitted_at": NOW.isoformat(), "request": "?"})
    waiting = WaitingTransfers.open(session, table_name="transfers")
    assert waiting.read(now=NOW) == (
        WaitingTransfer(NOW - timedelta(minutes=2), size_bytes=7, deadline=deadline, priority=9),
        WaitingTransfer(NOW - timedelta(minutes=1)),
    )
    for second in range(SAMPLE_SIZE):
        ledger.submit(make_request(), at=NOW + timedelta(seconds=second))
    assert len(waiting.read(now=NOW)) <= SAMPLE_SIZE


def test_the_age_of_the_queue(session: boto3.Session) -> None:
    """The newest number, of this queue alone; None where there is none."""
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    client = session.client("cloudwatch")
    age = QueueAge.open(session, queue_url="https://sqs.eu-central-1.amazonaws.com/123456789012/requests")
    assert age.read(at) is None
    for queue, minutes_ago, seconds in (("requests", 3, 500), ("requests", 2, 40), ("other", 1, 900)):
        client.put_metric_data(
            Namespace="AWS/SQS",
            MetricData=[
                {
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                    "Timestamp": at - timedelta(minutes=minutes_ago),
                    "Value": seconds,
                }
            ],
        )
    assert age.read(at) == 40


def test_the_metrics_of_the_service(session: boto3.Session) -> None:
    """CPU by the minute, oldest first; the newest network number; of this service alone."""
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    client = session.client("cloudwatch")

    def put(namespace: str, name: str, value: float, *, minutes_ago: int, service: str = "s") -> None:
        dimensions = [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": service}]
        when = at - timedelta(minutes=minutes_ago)
        datum = {"MetricName": name, "Dimensions": dimensions, "Timestamp": when, "Value": value}
        client.put_metric_data(Namespace=namespace, MetricData=[datum])  # type: ignore[list-item]

    metrics = FleetMetrics.open(session, cluster="c", service="s")
    assert metrics.read(now=at) == ((), None)
    for minutes_ago, cpu in ((3, 30.0), (2, 50.0), (1, 70.0)):
        put("AWS/ECS", "CPUUtilization", cpu, minutes_ago=minutes_ago)
    put("AWS/ECS", "CPUUtilization", 99.0, minutes_ago=1, service="other")
    put("ECS/ContainerInsights", "NetworkTxBytes", 1e6, minutes_ago=2)
    put("ECS/ContainerInsights", "NetworkTxBytes", 2e6, minutes_ago=1)
    assert metrics.read(now=at) == ((30.0, 50.0, 70.0), 2e6)


@pytest.fixture(params=["dynamodb", "memory"])
def history(request: pytest.FixtureRequest) -> DecisionHistory:
    if request.param == "memory":
        return InMemoryDecisionHistory()
    session = request.getfixturevalue("session")
    session.resource("dynamodb").create_table(
        TableName="decisions",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "service", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "service", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
    )
    return DynamoDecisionHistory.open(session, table_name="decisions", service="s")


DECISION = Decision(
    at=NOW, found=1, desired=2, needed=3, reason="bytes", says="why", missing=("CPU",), by_hand_until=NOW, applied=False
)


def test_decisions_are_kept_in_order_under_numbers_of_their_own(history: DecisionHistory) -> None:
    """In DynamoDB and in memory alike: newest first, each number once, and whether it was carried out."""
    for number in (9, 10, 11):
        assert history.add(number, replace(DECISION, found=number))
    assert not history.add(10, DECISION)
    history.mark_applied(11)
    recent = history.read_recent(limit=2)
    assert [(each.number, each.decision) for each in recent] == [
        (11, replace(DECISION, found=11, applied=True)),
        (10, replace(DECISION, found=10)),
    ]


def test_a_decision_that_cannot_be_read(session: boto3.Session, request: pytest.FixtureRequest) -> None:
    """It is named, rather than taken for something that was decided."""
    session.resource("dynamodb").create_table(
        TableName="damaged",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "service", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "service", "AttributeType": "S"},
            {"AttributeName": "item", "AttributeType": "S"},
        ],
    ).put_item(Item={"service": "s", "item": "000000000001", "decision": "{}", "applied": True})
    with pytest.raises(DecisionDamagedError, match="delete its row"):
        DynamoDecisionHistory.open(session, table_name="damaged", service="s").read_recent(limit=5)
