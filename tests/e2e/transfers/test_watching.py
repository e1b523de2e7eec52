"""Two who watch a real worker: at most two seconds between its words, for both, and an operator sees all of it."""

import itertools
import json
import signal
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.transfers.conftest import MakeLink, StartWorker
from tests.e2e.transfers.stage import PART_BYTES, SENDER, Model, Stage, wait_for

pytestmark = pytest.mark.e2e

AT_MOST_SECONDS = 2.0


@pytest.mark.requirement("D3.6")
def test_two_watchers_and_an_operator_see_it_move(
    stage: Stage, model: Model, start_worker: StartWorker, make_link: MakeLink
) -> None:
    """Each watcher gets a line for each word of the worker, by whose clock they are at most two seconds apart.

    The model goes over a slow link; the operator looks while the link stands still, when it cannot end.
    """
    link = make_link(bytes_per_second=20e6)
    link.stop_after(PART_BYTES * 2 + PART_BYTES // 2)
    worker = start_worker(data_endpoint_url=link.url, buffer_budget_bytes=64 << 20)
    transfer_id = stage.submit(model)
    watchers = [
        stage.start_pqtransfer("status", transfer_id, "--watch", "--json", role=role)
        for role in ("recipient", "submitter")
    ]
    link.wait_until_stopped()
    wait_for("two parts on record", lambda: stage.status(transfer_id).progress.parts_done >= 2 or None)
    _check_overview(stage, transfer_id, worker.name)
    link.go_on()
    for watcher in watchers:
        stdout, stderr = watcher.communicate(timeout=120)
        assert (watcher.returncode, stderr) == (0, "")
        *lines, last = [json.loads(line) for line in stdout.splitlines()]
        assert (last["state"], last["bytes_done"]) == ("COMPLETED", model.size_bytes)
        running = [line for line in lines if line["state"] == "RUNNING" and line["at"]]
        assert {line["worker"] for line in running} == {worker.name}
        done = [line["bytes_done"] for line in running]
        assert done == sorted(done)
        assert len(set(done)) >= 3
        _check_gaps(running)


def test_a_site_does_not_see_everybodys_transfers_at_once(stage: Stage) -> None:
    """The overview is for operators: exit code 4, by the cloud's own refusal."""
    for role in ("recipient", "submitter"):
        refused = stage.pqtransfer("top", "--once", "--json", role=role)
        assert (refused.exit_code, refused.error["code"]) == (4, "CloudAccessDenied")


def test_ctrl_c_ends_a_watcher(stage: Stage, model: Model) -> None:
    """At once, with exit code 130, and with whole lines; the transfer does not mind."""
    transfer_id = stage.submit(model)
    watcher = stage.start_pqtransfer("status", transfer_id, "--watch", "--json", role="recipient")
    assert watcher.stdout is not None
    first = json.loads(watcher.stdout.readline())
    assert (first["state"], first["worker"]) == ("SUBMITTED", None)
    watcher.send_signal(signal.SIGINT)
    rest, _ = watcher.communicate(timeout=60)
    assert (watcher.returncode, rest) == (130, "")
    stage.pqtransfer("cancel", transfer_id, role="submitter")
    ended = stage.pqtransfer("status", transfer_id, "--watch", "--json", role="recipient")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout.splitlines()[-1])["state"] == "CANCELLED"


def _check_overview(stage: Stage, transfer_id: str, worker: str | None) -> None:
    seen: dict[str, Any] = stage.pqtransfer("top", "--once", "--json", role="operator").answer
    (running,) = [each for each in seen["running"] if each["transfer_id"] == transfer_id]
    assert (running["worker"], running["sender"], running["parts_done"]) == (worker, SENDER, 2)
    assert [each["transfers"] for each in seen["workers"] if each["worker"] == worker] == [1]
    assert seen["workers_desired"] >= 0


def _check_gaps(lines: list[dict[str, Any]]) -> None:
    times = [datetime.fromisoformat(line["at"]) for line in lines]
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert gaps
    assert max(gaps) <= AT_MOST_SECONDS, f"{max(gaps):.1f} s between two words of the worker"
