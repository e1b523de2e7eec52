"""`status --watch` and `top`: what people, scripts and terminals are shown, and how the commands end."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.aws.service_load import Workload
from pqtransfer.cli.main import app
from pqtransfer.cli.top import FAILED_LOOKS_AT_MOST, render_overview
from pqtransfer.cli.watching import render_sighting
from pqtransfer.sdk.overview import Overlook, Overview
from pqtransfer.sdk.watching import Sighting, watch_transfer
from pqtransfer.transfers.ledger import Failure, Progress, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferRequest
from tests.containers import TRANSFER_ID
from tests.fakes.clocks import BEGINNING, FakeClock
from tests.fakes.ledgers import InMemoryLedger

WORKLOAD = Workload(messages_waiting=3, messages_in_flight=1, workers_desired=2, workers_running=2)
FAILURES = {
    "SourceChanged": (Failure(code="SourceChanged", message="it changed", exit_code=2), 2),
    "PartDamaged": (Failure(code="PartDamaged", message="damaged", exit_code=3), 3),
    "NotARecipient": (Failure(code="NotARecipient", message="no", exit_code=4), 4),
    "ReceivedTooOften": (Failure(code="ReceivedTooOften", message="too often"), 1),
}


class FakeClient:
    """A client on a ledger in memory, in which a worker does a part at each second."""

    def __init__(self, end: Failure | None = None, *, parts: int = 4) -> None:
        self.clock = FakeClock()
        self.ledger = InMemoryLedger()
        self.end = end
        self.parts = parts
        request = TransferRequest(
            transfer_id=TRANSFER_ID, kind="upload", sender="alice", recipients=("bob",), correlation_id="c"
        )
        self.ledger.submit(request, at=BEGINNING)
        self.lease = self.ledger.claim(
            TRANSFER_ID, owner="worker-1", at=BEGINNING, lease_expires_at=BEGINNING + timedelta(seconds=60)
        )

    def watch(self, transfer_id: str, *, stalled_after_seconds: float) -> Iterator[Sighting]:
        return watch_transfer(
            self.ledger,
            self.ledger.get(transfer_id),
            monotonic=self.clock.monotonic,
            sleep=self.work,
            stalled_after_seconds=stalled_after_seconds,
        )

    def status(self, transfer_id: str) -> TransferRecord:
        return self.ledger.get(transfer_id)

    def overlook(self, *, limit: int, stalled_after_seconds: float) -> Overlook:
        return Overlook(
            self.ledger,
            read_workload=lambda: WORKLOAD,
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            limit=limit,
            stalled_after_seconds=stalled_after_seconds,
        )

    def work(self, seconds: float) -> None:
        self.clock.advance(seconds)
        record, at = self.ledger.get(TRANSFER_ID), self.clock.now()
        done = record.progress.parts_done
        if self.clock.seconds % 1 or record.state is not TransferState.RUNNING:
            return
        if done == self.parts:
            self.ledger.fail(
                self.lease, at=at, failure=self.end or Failure(code="Cancelled", message="nobody wants it")
            )
            return
        progress = Progress(
            bytes_done=(done + 1) * 5_000_000_000,
            bytes_total=self.parts * 5_000_000_000,
            parts_done=done + 1,
            parts_total=self.parts,
            bytes_per_second=400e6,
            seconds_left=25.0,
        )
        self.ledger.renew(self.lease, at=at, lease_expires_at=at + timedelta(seconds=60), progress=progress)


def run(client: FakeClient, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, stderr."""
    monkeypatch.setattr("pqtransfer.cli.transfers.connect", lambda _deployment: client)
    monkeypatch.setattr("pqtransfer.cli.top.connect", lambda _deployment: client)
    result = CliRunner().invoke(app, list(arguments), prog_name="pqtransfer")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr


@pytest.mark.requirement("D3.6")
@pytest.mark.parametrize("end", FAILURES)
def test_scripts_get_a_json_object_a_line(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each word of the worker, then the whole record; the exit code is that of the error it ended with."""
    failure, exit_code = FAILURES[end]
    code, lines, stderr = run(FakeClient(failure), monkeypatch, "status", TRANSFER_ID, "--watch", "--json")
    assert code == exit_code
    *shown, last = [json.loads(line) for line in lines]
    assert [each["parts_done"] for each in shown] == [0, 1, 2, 3, 4, 4]
    assert shown[2] == {
        "transfer_id": TRANSFER_ID,
        "state": "RUNNING",
        "kind": "upload",
        "sender": "alice",
        "recipients": ["bob"],
        "worker": "worker-1",
        "attempt": 1,
        "retries": {},
        "bytes_done": 10_000_000_000,
        "bytes_total": 20_000_000_000,
        "parts_done": 2,
        "parts_total": 4,
        "bytes_per_second": 400_000_000,
        "seconds_left": 25.0,
        "idle_seconds": 0.0,
        "at": "2026-03-01T12:00:02.000+00:00",
        "stalled": None,
    }
    assert (last["state"], last["failure"]) == ("FAILED", f"{failure.code}: {failure.message}")
    assert json.loads(stderr)["error"]["code"] == "TransferFailed"


def test_without_a_terminal_people_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """For log files: time of the worker's word, state, bytes, speed, time left, parts, worker."""
    _, lines, _ = run(FakeClient(), monkeypatch, "status", TRANSFER_ID, "--watch")
    assert lines[1] == (
        "2026-03-01T12:00:01+00:00  RUNNING  5.0 GB of 20.0 GB  400 MB/s  0:25 left  part 1 of 4  worker worker-1"
    )


def test_a_terminal_shows_everything_of_one_transfer() -> None:
    """Bar, bytes, speed, time left, parts, worker, retries by cause, and that it stands still."""
    client = FakeClient()
    client.work(1.0)
    record = client.status(TRANSFER_ID).model_copy(update={"retries": {"WorkerLost": 1, "CloudUnavailable": 2}})
    shown = draw(render_sighting(Sighting(record, "no part done for 40 s", is_news=True)))
    assert "25%" in shown
    assert (
        "RUNNING  5.0 GB of 20.0 GB  400 MB/s  0:25 left  part 1 of 4  worker worker-1  "
        "3 retries (CloudUnavailable 2, WorkerLost 1)  STALLED: no part done for 40 s"
    ) in shown


def test_top_once_shows_transfers_and_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As text, as JSON, and as a table."""
    client = FakeClient()
    client.work(1.0)
    code, lines, _ = run(client, monkeypatch, "top", "--once")
    assert code == 0
    assert lines == [
        "2026-03-01T12:00:01+00:00  1 running (0 stalled), 0 submitted, 400 MB/s; queue: 3 waiting, 1 in flight; "
        "workers: 1 busy, 2 running of 2",
        f"  {TRANSFER_ID}  RUNNING  alice  25%  5.0 GB of 20.0 GB  400 MB/s  0:25  1/4  worker-1",
    ]
    code, lines, _ = run(client, monkeypatch, "top", "--once", "--json")
    (only,) = [json.loads(line) for line in lines]
    assert (only["running"][0]["transfer_id"], only["workers"][0]["worker"]) == (TRANSFER_ID, "worker-1")
    assert (only["messages_waiting"], only["workers_desired"], only["is_cut"]) == (3, 2, False)
    table = draw(render_overview(client.overlook(limit=10, stalled_after_seconds=30.0).look()))
    assert TRANSFER_ID in table
    assert "worker-1" in table


def test_top_goes_on_after_a_look_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And ends with exit code 5 when nothing answers any more."""
    monkeypatch.setattr("pqtransfer.cli.top.time.sleep", lambda _seconds: None)
    client = FakeClient()
    client.ledger.outage = CloudUnavailableError("no answer", aws_code="503")
    code, lines, stderr = run(client, monkeypatch, "top", "--json")
    assert (code, lines) == (5, [])
    assert stderr.count("no answer, trying again") == FAILED_LOOKS_AT_MOST - 1


def test_ctrl_c_ends_both_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, and nothing more is printed."""
    client = FakeClient()

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pqtransfer.cli.top.time.sleep", interrupt)
    monkeypatch.setattr(client, "work", interrupt)
    for arguments in (
        ("top", "--json"),
        ("top",),
        ("status", TRANSFER_ID, "--watch"),
    ):
        code, lines, stderr = run(client, monkeypatch, *arguments)
        assert (code, stderr) == (130, "")
        assert lines


def draw(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_empty_hall_is_drawn() -> None:
    """Nothing runs at night."""
    empty = Overview(at=BEGINNING, running=(), waiting=(), ended=(), workers=(), workload=WORKLOAD, is_cut=False)
    assert "0 running" in draw(render_overview(empty))
