"""What the system tries by itself, on AWS as moto plays it: what is done, and where there is nothing to do."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pqtransfer.aws.failures import CloudError
from pqtransfer.aws.recovery import MESSAGES_AT_MOST, FleetRecoverer, is_about, name_previous
from pqtransfer.operations.recovery import RecoveryKind, RecoveryOutcome
from pqtransfer.transfers.ledger import Progress
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.ledgers import InMemoryLedger
from tests.unit.operations.alert_samples import NOW, after

CLUSTER = "pqtransfer-dev"
FAMILY = "worker"
LOOKED_AT = after(minutes=10)
WORKER = "ip-10-40-1-2.eu-central-1.compute.internal-1"


class Fleet:
    """A cluster with one service and its queues."""

    def __init__(self) -> None:
        session = boto3.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
        )
        self.ecs, self.sqs = session.client("ecs"), session.client("sqs")
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.register()
        self.register()
        made = self.ecs.create_service(
            cluster=CLUSTER, serviceName="workers", taskDefinition=f"{FAMILY}:2", desiredCount=1, launchType="FARGATE"
        )
        self.service = made["service"]["serviceArn"]
        self.queue = self.sqs.create_queue(QueueName="requests")["QueueUrl"]
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.work = InMemoryLedger()
        self.recoverer = self.make_recoverer(self.sqs, wait_seconds=0)

    def make_recoverer(self, sqs: Any, **waits: int) -> FleetRecoverer:
        return FleetRecoverer(
            ecs=self.ecs,
            sqs=sqs,
            work=self.work,
            now=lambda: LOOKED_AT,
            cluster=CLUSTER,
            queue_url=self.queue,
            dead_letter_queue_url=self.dead,
            **waits,
        )

    def register(self) -> None:
        self.ecs.register_task_definition(
            family=FAMILY, containerDefinitions=[{"name": "worker", "image": "x", "memory": 512}]
        )

    def definition(self) -> str:
        found = self.ecs.describe_services(cluster=CLUSTER, services=[self.service])["services"][0]
        return str(found["taskDefinition"]).rpartition("/")[2]

    def give_up(self, body: str, **reason: str) -> None:
        attributes: dict[str, Any] = {
            name: {"DataType": "String", "StringValue": value} for name, value in reason.items()
        }
        self.sqs.send_message(QueueUrl=self.dead, MessageBody=body, MessageAttributes=attributes)

    def read(self, url: str) -> list[str]:
        bodies: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [each["Body"] for each in messages]
        return bodies


class StubEcs:
    """The answers that moto has none for: a deployment that failed, a task that runs."""

    def __init__(
        self, fleet: Fleet, *, rollout: str = "FAILED", task_status: str = "RUNNING", started_at: datetime = NOW
    ) -> None:
        self._ecs, self._rollout, self._task_status = fleet.ecs, rollout, task_status
        self._started_at = started_at
        self.stopped: list[str] = []

    def describe_services(self, **arguments: Any) -> Any:
        answer = self._ecs.describe_services(**arguments)
        for deployment in answer["services"][0]["deployments"]:
            deployment["rolloutState"] = self._rollout
        return answer

    def update_service(self, **arguments: Any) -> Any:
        return self._ecs.update_service(**arguments)

    def describe_tasks(self, *, tasks: list[str], **_: str) -> Any:
        address = {"name": "privateIPv4Address", "value": "10.40.1.2"}
        attached = {"arn:b": [{"details": [{"name": "subnetId", "value": "s"}, address]}]}
        return {
            "tasks": [
                {
                    "taskArn": each,
                    "lastStatus": self._task_status,
                    "startedAt": self._started_at,
                    "attachments": attached.get(each, []),
                }
                for each in tasks
            ]
        }

    def list_tasks(self, **_: Any) -> Any:
        return {"taskArns": ["arn:a", "arn:b"]}

    def stop_task(self, *, task: str, **_: str) -> Any:
        self.stopped.append(task)
        return {}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield Fleet()


def with_ecs(fleet: Fleet, ecs: Any) -> FleetRecoverer:
    return FleetRecoverer(
        ecs=ecs,
        sqs=fleet.sqs,
        work=fleet.work,
        now=lambda: LOOKED_AT,
        cluster=CLUSTER,
        queue_url=fleet.queue,
        dead_letter_queue_url=fleet.dead,
    )


def claim(fleet: Fleet, number: int, *, owner: str, until: datetime) -> Any:
    transfer_id = f"0198c0de-0000-7000-8000-{number:012}"
    request = TransferRequest(
        transfer_id=transfer_id,
        kind="encrypt",
        source="s3://site/model",
        sender="alice",
        recipients=("bob",),
        correlation_id="c-1",
    )
    fleet.work.submit(request, at=NOW)
    return fleet.work.claim(transfer_id, owner=owner, at=NOW, lease_expires_at=until)


@pytest.mark.requirement("D3.5")
@pytest.mark.parametrize(("status", "stopped"), [("RUNNING", ["arn:task"]), ("STOPPED", [])])
def test_a_task_is_stopped_once(fleet: Fleet, status: str, stopped: list[str]) -> None:
    """So that the service starts another; one that has stopped is left alone."""
    ecs = StubEcs(fleet, task_status=status)
    outcome, _ = with_ecs(fleet, ecs).recover(RecoveryKind.REPLACE_TASK, "arn:task")
    assert ecs.stopped == stopped
    assert outcome is (RecoveryOutcome.DONE if stopped else RecoveryOutcome.NOTHING_TO_DO)


@pytest.mark.requirement("D3.5")
@pytest.mark.parametrize(
    ("worker", "stopped"),
    [
        ("ip-10-40-1-2.eu-central-1.compute.internal-1", ["arn:b"]),
        ("ip-10-40-1-2-7", ["arn:b"]),
        ("ip-10-40-1-23.eu-central-1.compute.internal-1", []),
        ("elsewhere-1", []),
    ],
)
def test_a_worker_without_heartbeat_is_found_by_its_host(fleet: Fleet, worker: str, stopped: list[str]) -> None:
    """Its task is stopped, and no other."""
    ecs = StubEcs(fleet)
    claim(fleet, 1, owner=worker, until=after(minutes=1))
    with_ecs(fleet, ecs).recover(RecoveryKind.REPLACE_TASK, worker)
    assert ecs.stopped == stopped


def test_a_task_with_the_address_of_a_worker_that_is_gone_is_left_alone(fleet: Fleet) -> None:
    """It started after the lease had ended: it is another."""
    ecs = StubEcs(fleet, started_at=after(minutes=2))
    claim(fleet, 1, owner=WORKER, until=after(minutes=1))
    outcome, _ = with_ecs(fleet, ecs).recover(RecoveryKind.REPLACE_TASK, WORKER)
    assert (outcome, ecs.stopped) == (RecoveryOutcome.NOTHING_TO_DO, [])


@pytest.mark.parametrize("left", [timedelta(0), timedelta(minutes=1)])
def test_a_worker_that_holds_a_live_lease_is_left_alone(fleet: Fleet, left: timedelta) -> None:
    """It lost one transfer, and works on another."""
    ecs = StubEcs(fleet)
    claim(fleet, 1, owner=WORKER, until=after(minutes=1))
    claim(fleet, 2, owner=WORKER, until=LOOKED_AT + left)
    outcome, _ = with_ecs(fleet, ecs).recover(RecoveryKind.REPLACE_TASK, WORKER)
    assert (outcome, ecs.stopped) == (RecoveryOutcome.NOTHING_TO_DO, [])


def test_a_worker_that_gave_its_transfer_back_is_left_alone(fleet: Fleet) -> None:
    """Its lease has ended, as it ended it."""
    ecs = StubEcs(fleet)
    lease = claim(fleet, 1, owner=WORKER, until=after(minutes=1))
    fleet.work.release(lease, at=after(seconds=20), error=None, progress=Progress())
    outcome, _ = with_ecs(fleet, ecs).recover(RecoveryKind.REPLACE_TASK, WORKER)
    assert (outcome, ecs.stopped) == (RecoveryOutcome.NOTHING_TO_DO, [])


@pytest.mark.requirement("D3.5")
@pytest.mark.parametrize(("rollout", "definition"), [("FAILED", "worker:1"), ("COMPLETED", "worker:2")])
def test_a_failed_deployment_is_rolled_back(fleet: Fleet, rollout: str, definition: str) -> None:
    """To the version before; not where the circuit breaker was faster."""
    outcome, said = with_ecs(fleet, StubEcs(fleet, rollout=rollout)).recover(RecoveryKind.ROLL_BACK, fleet.service)
    assert fleet.definition() == definition
    assert (outcome is RecoveryOutcome.DONE) == (definition == "worker:1"), said


def test_what_aws_refuses_is_an_error(fleet: Fleet) -> None:
    """The caller records it."""
    fleet.sqs.delete_queue(QueueUrl=fleet.dead)
    with pytest.raises(CloudError):
        fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")


def test_only_what_nobody_gave_up_for_a_reason_is_redriven(fleet: Fleet) -> None:
    """What a worker refused would be refused again; and messages of other queues are for people."""
    fleet.give_up("{}", reason_code="MalformedMessage")
    for number in range(12):
        fleet.give_up(json.dumps({"number": number}))
    assert fleet.recoverer.recover(RecoveryKind.REDRIVE, "other")[0] is RecoveryOutcome.NOTHING_TO_DO
    outcome, said = fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")
    assert (outcome, said) == (RecoveryOutcome.DONE, "12 messages are tried again")
    assert len(fleet.read(fleet.queue)) == 12
    assert fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")[0] is RecoveryOutcome.NOTHING_TO_DO


class ForgetfulSqs:
    """Finds nothing at every second receive, as SQS may, though there is something."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.waits: list[int] = []

    def receive_message(self, **arguments: Any) -> Any:
        self.waits.append(arguments.pop("WaitTimeSeconds", 0))
        return {} if len(self.waits) % 2 else self._sqs.receive_message(**arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)


def test_one_empty_answer_is_not_the_end(fleet: Fleet) -> None:
    """Everything is found, and each receive waits, so that SQS asks all of its servers."""
    for number in range(25):
        fleet.give_up(str(number))
    sqs = ForgetfulSqs(fleet.sqs)
    said = fleet.make_recoverer(sqs).recover(RecoveryKind.REDRIVE, "dead")
    assert said == (RecoveryOutcome.DONE, "25 messages are tried again")
    assert set(sqs.waits) == {2}
    assert len(sqs.waits) <= 9


def test_a_queue_in_which_nothing_was_found_is_told_apart(fleet: Fleet) -> None:
    """From one in which everything was given up for a reason."""
    assert "no message was found" in fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")[1]
    assert "no message was found" in fleet.recoverer.recover(RecoveryKind.RESTART_TRANSFER, "t-1")[1]
    fleet.give_up("{}", reason_code="MalformedMessage")
    assert "every message in it was given up" in fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")[1]


def test_a_redrive_is_bounded(fleet: Fleet) -> None:
    """The rest waits for the next one."""
    for number in range(MESSAGES_AT_MOST + 30):
        fleet.give_up(str(number))
    fleet.recoverer.recover(RecoveryKind.REDRIVE, "dead")
    assert MESSAGES_AT_MOST <= len(fleet.read(fleet.queue)) < MESSAGES_AT_MOST + 10


def test_a_stalled_transfer_gets_its_message_back(fleet: Fleet) -> None:
    """And no other one's; where there is none, it is said."""
    mine = json.dumps({"format": "x", "request": json.dumps({"transfer_id": "t-1"}), "signature": "s"})
    for body in (mine, mine.replace("t-1", "t-2"), "no json", "[]"):
        fleet.give_up(body)
    assert fleet.recoverer.recover(RecoveryKind.RESTART_TRANSFER, "t-1")[0] is RecoveryOutcome.DONE
    assert fleet.read(fleet.queue) == [mine]
    assert fleet.recoverer.recover(RecoveryKind.RESTART_TRANSFER, "t-9")[0] is RecoveryOutcome.NOTHING_TO_DO


def test_names_of_task_definitions() -> None:
    """The one before; the first has none."""
    assert name_previous("arn:aws:ecs:eu-central-1:1:task-definition/worker:7") == "worker:6"
    assert name_previous("arn:aws:ecs:eu-central-1:1:task-definition/worker:1") is None
    assert name_previous("nonsense") is None
    assert not is_about('{"request": "{"}', "t-1")
