"""The deployed `decide_scaling` and a fleet of real workers: it grows, works, and shrinks, and interrupts nothing."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.transfers.ledger import TransferState
from scripts.embedded_cloud.supervisor import Supervisor
from scripts.embedded_cloud.timing import Timing
from tests.e2e.conftest import ActAs
from tests.e2e.fleet_service import Service
from tests.e2e.function_roles import act_as_function
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import Stage, wait_for
from tests.e2e.workers import QUICK

pytestmark = pytest.mark.e2e

TIMING = Timing(
    poll=0.1, health_interval=1.0, health_timeout=30.0, health_grace=90.0, stop_timeout=30.0, metrics_period=0.5
)
TRANSFERS = 12


@pytest.fixture
def link(make_link: MakeLink) -> SlowLink:
    """Between the workers and the data bucket."""
    return make_link()


@pytest.fixture
def fleet(stage: Stage, service: Service, link: SlowLink, tmp_path: Path) -> Iterator[Supervisor]:
    """The minimum of one worker."""
    service.want(1)
    settings = {**QUICK, "data_endpoint_url": link.url, "lease_seconds": 60}
    with Supervisor(stage.cloud, stage.deployment, folder=tmp_path, timing=TIMING, settings=settings) as started:
        started.wait_until(lambda tasks: len(tasks.running) == 1)
        yield started


@pytest.mark.requirement("D6.1", "D6.3", "D6.4", "D6.5", "D6.6")
def test_twelve_transfers(stage: Stage, service: Service, fleet: Supervisor, link: SlowLink) -> None:
    """From the minimum to the limit and back. None is interrupted, none is lost, none is done twice."""
    limit, minimum = stage.deployment.workers_maximum, stage.deployment.workers_minimum
    model = stage.put_model("models/small.safetensors", random.Random(1).randbytes(1 << 20))
    link.stop_after(0)
    transfers = [stage.submit(model, expected_size_bytes=model.size_bytes) for _ in range(TRANSFERS)]
    grown = service.decide()
    assert (grown["desired"], grown["reason"]) == (limit, "queue")
    workers = fleet.wait_until(lambda tasks: len(tasks.running) == limit).running
    wait_for("work for each worker", lambda: all(fleet.is_protected(task) for task in workers) or None)
    held = service.decide()  # work in everybody's hands: nobody is let go
    assert held["desired"] == limit
    shown = stage.pqtransfer("fleet", "--json", role="operator").answer
    assert (shown["busy"], shown["desired"], shown["maximum"]) == (limit, limit, limit)
    assert {each["desired"] for each in shown["decisions"]} == {limit}

    link.go_on()
    records = [stage.wait_for_completion(transfer_id) for transfer_id in transfers]
    stage.wait_for_empty_queue()
    assert {record.attempt for record in records} == {1}
    assert len({record.owner for record in records}) == limit  # the load was spread over all of them
    assert all(set(stage.objects(each)) == {"payload", "manifest.json", "envelope.json"} for each in transfers)
    assert stage.receive_sha256(transfers[-1]) == model.sha256

    wait_for("the minimum", lambda: service.decide()["desired"] == minimum or None)
    (left,) = fleet.wait_until(lambda tasks: len(tasks.all) == minimum).all
    gone = [task for task in workers if task is not left]
    assert [task.process.exit_code for task in gone] == [0] * (limit - minimum)
    assert {stage.status(each).state for each in transfers} == {TransferState.COMPLETED}


@pytest.mark.requirement("D6.5")
def test_scaling_in_by_force_waits_for_the_transfer(
    stage: Stage, service: Service, fleet: Supervisor, link: SlowLink
) -> None:
    """Somebody sets the count to nothing: the worker that has a transfer in its hands ends it first."""
    model = stage.put_model("models/small.safetensors", random.Random(1).randbytes(1 << 20))
    link.stop_after(0)
    transfer_id = stage.submit(model)
    (worker,) = fleet.tasks.running
    wait_for("protection", lambda: fleet.is_protected(worker) or None)
    link.wait_until_stopped()
    service.want(0)
    fleet.wait_for_steps(3)
    assert fleet.tasks.all == (worker,)
    link.go_on()
    assert stage.wait_for_completion(transfer_id).attempt == 1
    fleet.wait_until(lambda tasks: not tasks.all)
    assert worker.process.exit_code == 0


@pytest.mark.requirement("D6.2")
def test_cpu_over_70_percent_for_5_minutes(stage: Stage, service: Service) -> None:
    """The numbers are ECS's own names in CloudWatch; nothing waits in the queue."""
    service.want(1)
    service.put_cpu([90.0] * 4 + [20.0, 20.0])
    assert service.decide()["reason"] != "cpu"
    service.forget()
    service.put_cpu([90.0] * 7, weight=1e12)
    grown = service.decide()
    assert (grown["found"], grown["desired"], grown["reason"]) == (1, 2, "cpu")


def test_a_count_set_by_hand_is_noticed_and_kept(stage: Stage, service: Service) -> None:
    """Within the limits; the decision says so."""
    service.want(1)
    service.put_cpu([10.0] * 6)
    service.decide()
    service.want(9)
    noticed = service.decide()
    assert (noticed["desired"], noticed["reason"]) == (stage.deployment.workers_maximum, "set-by-hand")
    assert service.decide()["reason"] == "by-hand"


def test_the_function_may_scale_this_service_alone(stage: Stage, service: Service, act_as: ActAs) -> None:
    """Its role updates no service elsewhere, stops no task, reads no message and no model."""
    session = act_as_function(act_as, stage.deployment, "decide_scaling")
    ecs, sqs, s3 = (session.client(each) for each in ("ecs", "sqs", "s3"))
    cluster = stage.deployment.cluster
    refused: dict[str, Any] = {
        "another service": lambda: ecs.update_service(cluster="other", service="other", desiredCount=1),
        "a task": lambda: ecs.stop_task(cluster=cluster, task="0" * 32),
        "a message": lambda: sqs.receive_message(QueueUrl=stage.deployment.queue_url),
        "a model": lambda: s3.list_objects_v2(Bucket=stage.deployment.data_bucket),
    }
    for attempt in refused.values():
        with pytest.raises(ecs.exceptions.ClientError, match="AccessDenied"):
            attempt()
