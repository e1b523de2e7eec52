"""`cdk deploy` of a changed worker and changed functions while transfers run: none is lost, none starts over."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.embedded_cloud.supervisor import Supervisor, Timing
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.slow_link import SlowLink
from tests.e2e.transfers.stage import PART_BYTES, Model, Stage, wait_for
from tests.e2e.workers import QUICK

pytestmark = pytest.mark.e2e

CHANGES = {"max_receives": "6", "function_memory_mib": "512"}
"""The first goes into the workers' task definition, the second into every function."""
TIMING = Timing(poll=0.1, health_interval=0.5, health_timeout=20.0, health_grace=120.0, stop_timeout=20.0)
ENVELOPES_BYTES = 1 << 20
PATIENCE_SECONDS = 120.0


@pytest.fixture
def deployed(stage: Stage) -> Iterator[Stage]:
    """The stage; at the end, what the other tests expect is deployed again."""
    ecs, names = _service(stage)
    before = ecs.describe_services(cluster=names["cluster"], services=[names["service"]])["services"][0]
    ecs.update_service(**names, desiredCount=1)
    yield stage
    stage.cloud.deploy()
    ecs.update_service(**names, desiredCount=before["desiredCount"])


@pytest.fixture
def link(make_link: MakeLink) -> SlowLink:
    return make_link()


@pytest.mark.requirement("D1.4", "D6.5")
def test_a_deployment_interrupts_nothing(deployed: Stage, model: Model, link: SlowLink, tmp_path: Path) -> None:
    """A transfer stands still between two parts while everything is deployed anew.

    The worker that has it is protected and stays, beside one of the new definition, which takes what comes meanwhile.
    Told to stop all the same, as a machine that is taken away would, the old one gives its transfer back; the new one
    goes on from the checkpoint: not a part that was sent is sent again.
    """
    settings = {
        **QUICK,
        "data_endpoint_url": link.url,
        "buffer_budget_bytes": 2 * PART_BYTES,
        "stop_timeout_seconds": 5,
        # The embedded cloud answers nobody for seconds while it is deployed to: 6 s would not outlast that.
        "lease_seconds": 120,
    }
    stage = deployed
    before = _function(stage)
    with Supervisor(stage.cloud, stage.deployment, folder=tmp_path, timing=TIMING, settings=settings) as fleet:
        (old,) = fleet.wait_until(lambda tasks: len(tasks.running) == 1, timeout_seconds=PATIENCE_SECONDS).running
        link.stop_after(PART_BYTES * 2 + PART_BYTES // 2)
        running = stage.submit(model)
        link.wait_until_stopped()
        stage.wait_for_parts(running, 1)

        arguments = [each for key, value in CHANGES.items() for each in ("--context", f"{key}={value}")]
        deployment = stage.cloud.deploy(arguments=arguments)
        assert deployment == stage.deployment
        assert _function(stage)["MemorySize"] == int(CHANGES["function_memory_mib"]) != before["MemorySize"]
        new = fleet.wait_until(
            lambda tasks: any(task.definition.arn != old.definition.arn for task in tasks.running),
            timeout_seconds=PATIENCE_SECONDS,
        ).running[-1]
        assert new.definition.variables["PQTRANSFER_MAX_RECEIVES"] == CHANGES["max_receives"]
        assert old.process.is_running
        assert fleet.is_protected(old)
        assert stage.status(running).attempt == 1

        kept = stage.recorded_parts(running)
        old.process.terminate()
        told_at = stage.status(running).progress_at
        wait_for("a beat after the signal", lambda: stage.status(running).progress_at != told_at or None)
        link.go_on()
        submitted = stage.submit(model)
        fleet.wait_until(lambda tasks: old not in tasks.all, timeout_seconds=PATIENCE_SECONDS)
        # By itself; or the fleet, which it left unprotected, told it once more while its interpreter was ending.
        assert old.process.exit_code in (0, -signal.SIGTERM)
        first, second = stage.wait_for_completion(running), stage.wait_for_completion(submitted)
        assert second.owner == new.process.name
        stage.wait_for_empty_queue()
    assert kept
    digests = stage.manifest(running).body.part_sha256
    assert {index: part.sha256 for index, part in kept.items()} == {index: digests[index] for index in kept}
    assert (first.attempt, first.retries, first.last_error) == (2, {"GivenBack": 1}, None)
    assert link.sent_bytes <= 2 * model.size_bytes + 2 * PART_BYTES + ENVELOPES_BYTES
    assert (stage.receive_sha256(running), stage.receive_sha256(submitted)) == (model.sha256, model.sha256)
    assert stage.uploads() == []


def _service(stage: Stage) -> tuple[Any, dict[str, str]]:
    return stage.cloud.session().client("ecs"), {
        "cluster": stage.deployment.cluster,
        "service": stage.deployment.service,
    }


def _function(stage: Stage) -> dict[str, Any]:
    """The configuration of a deployed function."""
    client = stage.cloud.session().client("lambda")
    name = stage.deployment.functions.publish_transfer_events
    found: dict[str, Any] = client.get_function_configuration(FunctionName=name)
    return found
