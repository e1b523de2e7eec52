"""`pqtransfer fleet` on a fleet in memory."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.cli import fleet as commands
from pqtransfer.cli.main import ErrorReportingGroup
from pqtransfer.scaling.deciding import Decision
from pqtransfer.sdk.fleet import Fleet
from pqtransfer.transfers.request import TransferRequest
from tests.fakes.ledgers import InMemoryLedger
from tests.fakes.scaling import FakeFleet, FakeQueueDepth, FakeService, InMemoryDecisionHistory

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSFER = "01933b0e-8c1f-7a4e-9d55-0242ac12000"


def make_request(number: int, kind: str = "encrypt") -> TransferRequest:
    return TransferRequest(
        transfer_id=f"{TRANSFER}{number}",
        kind=kind,
        source=None if kind == "upload" else "s3://models/model",
        sender="site-a",
        recipients=("site-b",),
        correlation_id="test",
    )


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    """Three workers: one at work, one whose lease is over; an upload runs, too."""
    parts, ledger, history = (
        FakeFleet(CloudUnavailableError("gone", aws_code="x")),
        InMemoryLedger(),
        InMemoryDecisionHistory(),
    )
    parts.desired = parts.running = 3
    parts.waiting, parts.in_flight = 12, 2
    for number, kind, lease in ((1, "encrypt", 60), (2, "encrypt", -1), (3, "upload", 60)):
        ledger.submit(make_request(number, kind), at=NOW)
        expires = NOW + timedelta(seconds=lease)
        ledger.claim(f"{TRANSFER}{number}", owner=f"worker-{number}", at=NOW, lease_expires_at=expires)
    grown = Decision(NOW, found=1, desired=3, needed=5, reason="queue", says="12 messages wait", applied=True)
    history.add(1, grown)
    history.add(2, replace(grown, found=3, at=NOW + timedelta(minutes=1), missing=("CPU",)))
    connected = Fleet(
        service=FakeService(parts),
        queue=FakeQueueDepth(parts),
        ledger=ledger,
        history=history,
        minimum=1,
        maximum=3,
        now=lambda: NOW,
    )
    monkeypatch.setattr(commands, "_connect", lambda _path: connected)
    monkeypatch.setenv("COLUMNS", "200")
    return parts


def run(*arguments: str) -> tuple[int, str]:
    program = typer.Typer(cls=ErrorReportingGroup)
    program.add_typer(commands.app)
    program.command(name="other")(lambda: None)
    result = CliRunner().invoke(program, ["fleet", *arguments])
    return result.exit_code, result.output


def test_the_fleet_for_a_script(parts: FakeFleet) -> None:
    """Who works, what waits, what was decided and why."""
    exit_code, output = run("--json")
    assert exit_code == 0
    shown = json.loads(output)
    assert {name: shown[name] for name in ("running", "busy", "idle", "desired", "minimum", "maximum")} == {
        "running": 3,
        "busy": 1,
        "idle": 2,
        "desired": 3,
        "minimum": 1,
        "maximum": 3,
    }
    assert (shown["messages_waiting"], shown["messages_in_flight"]) == (12, 2)
    assert [(each["worker"], each["transfer_id"]) for each in shown["work"]] == [("worker-1", f"{TRANSFER}1")]
    assert [(each["found"], each["desired"], each["missing"]) for each in shown["decisions"]] == [
        (3, 3, ["CPU"]),
        (1, 3, []),
    ]


def test_the_fleet_for_people(parts: FakeFleet) -> None:
    """The same, in tables."""
    exit_code, output = run("--decisions", "2")
    assert exit_code == 0
    for text in ("worker-1", "1 -> 3", "12 messages wait", "queue", "idle"):
        assert text in output


def test_a_fleet_that_does_not_answer(parts: FakeFleet) -> None:
    """Exit code 5: try again."""
    parts.silent = {"service"}
    assert run()[0] == 5
