"""A worker hangs: it is found by its health check, replaced, and told of; its transfer goes on from the checkpoint."""

import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.aws_events import FLEET_CAUSE
from pqtransfer.operations.signals import name_alert
from scripts.embedded_cloud.supervisor import Supervisor
from scripts.embedded_cloud.timing import Timing
from tests.e2e.fleet_service import Service
from tests.e2e.told_alerts import ToldAlerts
from tests.e2e.transfers.conftest import MakeLink
from tests.e2e.transfers.stage import Model, Stage, wait_for
from tests.e2e.workers import QUICK

pytestmark = pytest.mark.e2e

TIMING = Timing(poll=0.1, health_interval=0.5, health_timeout=8.0, unhealthy_after_checks=2, stop_timeout=1.0)


@pytest.mark.requirement("D3.5")
def test_a_worker_that_hangs_is_replaced_and_its_transfer_completes(
    stage: Stage, model: Model, service: Service, make_link: MakeLink, tmp_path: Path
) -> None:
    """Frozen in the middle of a transfer, it answers no health check any more, and not to SIGTERM either."""
    told = ToldAlerts(stage.cloud.session(), stage.deployment)
    told.end_all()
    since = datetime.now(UTC)
    link = make_link()
    link.stop_after(model.size_bytes // 2)
    settings = {**QUICK, "data_endpoint_url": link.url}
    service.want(1)
    with Supervisor(stage.cloud, stage.deployment, folder=tmp_path, timing=TIMING, settings=settings) as fleet:
        (hung,) = fleet.wait_until(lambda tasks: len(tasks.running) == 1).running
        transfer_id = stage.submit(model)
        link.wait_until_stopped()
        hung.process.pause()
        link.go_on()
        fleet.wait_until(lambda tasks: bool(tasks.running) and hung not in tasks.all)
        assert hung.process.exit_code == -signal.SIGKILL
        stage.wait_for_completion(transfer_id)
    assert stage.receive_sha256(transfer_id) == model.sha256

    def find_alert() -> AlertRecord | None:
        record = told.store.find(name_alert(FLEET_CAUSE))
        known = record.find_member(f"task:{hung.arn}") if record else None
        return record if known is not None and known.code == "task-unhealthy" and known.last_at >= since else None

    record = wait_for("an alert of the task", find_alert)
    assert record.pages >= 1
    tries = [each for each in record.recoveries if each.target == hung.arn]
    assert [each.kind for each in tries] == ["replace-task"]  # where the service was faster, there was nothing to do
