"""The local fleet with real worker processes: it follows the service as ECS does."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.aws.task_protection import TaskProtection
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.fleet_reports import ECS_EVENT_SOURCE
from scripts.embedded_cloud.sessions import CloudSession
from scripts.embedded_cloud.supervisor import Supervisor
from scripts.embedded_cloud.timing import Timing
from scripts.toolchain import ROOT
from tests.e2e.conftest import ActAs
from tests.e2e.fleet_service import Service
from tests.e2e.transfers.stage import wait_for
from tests.e2e.workers import QUICK

pytestmark = pytest.mark.e2e

RULE = "e2e-ecs-events"
TIMING = Timing(
    poll=0.1, health_interval=0.5, health_timeout=20.0, unhealthy_after_checks=2, health_grace=90.0, stop_timeout=20.0
)


@pytest.fixture
def fleet(cloud: EmbeddedCloud, deployment: Deployment, service: Service, tmp_path: Path) -> Iterator[Supervisor]:
    service.want(1)
    with Supervisor(cloud, deployment, folder=tmp_path, timing=TIMING, settings=QUICK) as started:
        started.wait_until(lambda tasks: len(tasks.running) == 1)
        yield started


class EcsEvents:
    """What the fleet has told on the default bus, in a queue of the test's own."""

    def __init__(self, owner: CloudSession) -> None:
        self._events, self._sqs = owner.client("events"), owner.client("sqs")
        self._url = self._sqs.create_queue(QueueName=RULE)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]}
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        self._events.put_rule(Name=RULE, EventPattern=json.dumps({"source": [ECS_EVENT_SOURCE]}))
        self._events.put_targets(Rule=RULE, Targets=[{"Id": "queue", "Arn": arn}])
        self._seen: list[dict[str, Any]] = []

    def close(self) -> None:
        self._events.remove_targets(Rule=RULE, Ids=["queue"])
        self._events.delete_rule(Name=RULE)
        self._sqs.delete_queue(QueueUrl=self._url)

    def wait_for(self, what: str, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event whose detail is so."""

        def look() -> dict[str, Any] | None:
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
            for message in answer.get("Messages", []):
                self._seen.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            return next((each for each in self._seen if matches(each["detail"])), None)

        return wait_for(what, look)


@pytest.fixture
def events(act_as: ActAs) -> Iterator[EcsEvents]:
    listening = EcsEvents(act_as(None))
    yield listening
    listening.close()


def test_it_scales_replaces_and_rolls(events: EcsEvents, fleet: Supervisor, service: Service) -> None:
    """As many tasks as are wanted; a new definition takes over, a broken one goes back; and it is told as ECS does."""
    (first,) = fleet.tasks.running
    service.want(2)
    both = fleet.wait_until(lambda tasks: len(tasks.running) == 2).running
    both[1].process.kill()
    both = fleet.wait_until(
        lambda tasks: len(tasks.running) == 2 and both[1].number not in {task.number for task in tasks.all}
    ).running
    assert both[0] is first
    killed = events.wait_for("the end of the killed task", lambda detail: detail.get("stopCode") is not None)
    assert killed["detail-type"] == "ECS Task State Change"
    assert killed["detail"]["stopCode"] == "EssentialContainerExited"
    assert killed["detail"]["containers"][0]["exitCode"] == 137
    service.want(1)
    fleet.wait_until(lambda tasks: len(tasks.all) == 1)

    good = service.deploy(PQTRANSFER_MAX_RECEIVES="4")
    fleet.wait_until(lambda tasks: [task.definition.arn for task in tasks.all] == [good])
    broken = service.deploy(PQTRANSFER_ENVIRONMENT="nowhere")
    wait_for("the rollback", lambda: service.definition == good or None)
    (left,) = fleet.wait_until(lambda tasks: {task.definition.arn for task in tasks.all} == {good}).all
    assert left.definition.arn != broken
    failed = "SERVICE_DEPLOYMENT_FAILED"
    told = events.wait_for("the failed deployment", lambda detail: detail.get("eventName") == failed)
    assert (told["detail-type"], told["detail"]["eventType"]) == ("ECS Deployment State Change", "ERROR")


def test_a_protected_task_is_not_scaled_in(fleet: Supervisor, service: Service) -> None:
    """The one that works stays, however new it is; it goes once it lets go."""
    service.want(2)
    older, newer = fleet.wait_until(lambda tasks: len(tasks.running) == 2).running
    agents = {task.number: TaskProtection(task.agent_uri) for task in (older, newer)}
    agents[newer.number].hold()
    service.want(1)
    fleet.wait_until(lambda tasks: tasks.all == (newer,))
    assert older.process.exit_code == 0  # SIGTERM, and a stop in good order
    service.want(0)
    agents[newer.number].drop()
    fleet.wait_until(lambda tasks: not tasks.all)


def test_a_task_that_hangs_is_replaced(
    cloud: EmbeddedCloud, deployment: Deployment, service: Service, tmp_path: Path
) -> None:
    """It answers no health check any more, and not to SIGTERM either."""
    timing = Timing(poll=0.1, health_interval=0.2, health_timeout=3.0, unhealthy_after_checks=2, stop_timeout=1.0)
    service.want(1)
    with Supervisor(cloud, deployment, folder=tmp_path, timing=timing, settings=QUICK) as fleet:
        (frozen,) = fleet.wait_until(lambda tasks: len(tasks.running) == 1).running
        frozen.process.pause()
        fleet.wait_until(lambda tasks: bool(tasks.running) and frozen not in tasks.all)
        assert frozen.process.exit_code == -signal.SIGKILL
        assert frozen.stopped_reason == "Task failed container health checks"


def test_workers_end_with_the_supervisor(cloud: EmbeddedCloud, deployment: Deployment, service: Service) -> None:
    """Even when it is killed, nothing of it is left running."""
    service.want(1)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "scripts.embedded_cloud", "fleet", "--folder", str(cloud.folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "RUNNING" in line:
                break
        children = Path(f"/proc/{process.pid}/task").glob("*/children")
        (worker,) = {int(pid) for listed in children for pid in listed.read_text().split()}
        assert is_alive(worker)
    finally:
        process.kill()
        process.wait()
    wait_for("the end of the worker", lambda: not is_alive(worker) or None)


def is_alive(pid: int) -> bool:
    """Whether the process exists, and is not a zombie that nobody waits for."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
