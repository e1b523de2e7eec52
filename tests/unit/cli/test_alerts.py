"""`pqtransfer alerts`, on alert processing in memory."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from functions.process_alerts.orders import answer_order
from pqtransfer.cli import alerts as commands
from pqtransfer.cli.main import ErrorReportingGroup
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.sdk.alerts import AlertDesk
from tests.unit.functions.process_alerts.world import World
from tests.unit.operations.alert_samples import make_signal

OPERATOR = "arn:aws:sts::123456789012:assumed-role/operator/jo"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    memory = World()

    def process(order: JsonObject) -> JsonObject:
        return answer_order(json.loads(json.dumps(order)), memory.service())

    desk = AlertDesk(store=memory.store, process=process, name_caller=lambda: OPERATOR)
    monkeypatch.setattr(commands, "_connect", lambda _path: desk)
    monkeypatch.setenv("COLUMNS", "200")
    return memory


def run(*arguments: str) -> Result:
    """Run `pqtransfer alerts ...` as the program does."""
    program = typer.Typer(cls=ErrorReportingGroup)
    program.add_typer(commands.app)
    return CliRunner().invoke(program, ["alerts", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_worst_is_listed_first(world: World) -> None:
    """As a table for people and as JSON for scripts."""
    world.service().take_signal(make_signal("mild", cause="a", severity=AlertSeverity.WARNING))
    world.service().take_signal(make_signal("bad", cause="b", severity=AlertSeverity.CRITICAL))
    assert [each["severity"] for each in run_json("list")] == ["critical", "warning"]
    table = run("list").stdout
    assert "bad fails" in table
    assert run_json("list")[0]["alert_id"] in table


def test_an_alert_is_shown_with_what_to_do(world: World) -> None:
    """What was seen, how often, what was tried, and its page."""
    world.service().take_signal(make_signal("[bold]k"))
    text = run("show", world.store.only.alert_id).stdout
    for part in ("[bold]k fails", "docs/runbooks/function-failing.md", "nothing; there is nothing", "still so"):
        assert part in text
    assert run_json("show", world.store.only.alert_id)["cause"] == "c"


def test_who_acknowledges_is_on_record(world: World) -> None:
    """By the name that AWS says; and `--over` ends it."""
    world.service().take_signal(make_signal())
    alert_id = world.store.only.alert_id
    assert run_json("ack", alert_id)["state"] == "acknowledged"
    assert world.trail.find("alert.ack").actor == OPERATOR
    assert run_json("ack", alert_id, "--over")["state"] == "resolved"
    assert run_json("list") == []
    again = run("ack", alert_id, "--json")
    assert again.exit_code == 2
    assert json.loads(again.stderr.splitlines()[-1])["error"]["code"] == "AlertEnded"


def test_a_silence_is_made_listed_and_ended(world: World) -> None:
    """With a reason and an end."""
    made = run_json("silence", "--code", "task-stopped", "--for", "2h", "--reason", "maintenance")
    assert made["made_by"] == OPERATOR
    assert [each["silence_id"] for each in run_json("silence")] == [made["silence_id"]]
    assert "maintenance" in run("silence").stdout
    assert run_json("silence", "--end", made["silence_id"])["ended"] is True
    assert run_json("silence") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "ab" * 10), "AlertNotFound"),
        (("ack", "ab" * 10), "AlertNotFound"),
        (("ack", "no-id"), "InvalidOrder"),
        (("silence", "--code", "x"), "Usage"),
        (("silence", "--code", "x", "--for", "soon", "--reason", "r"), "Usage"),
        (("silence", "--code", "x", "--for", "0m", "--reason", "r"), "Usage"),
        (("silence", "--code", "x", "--for", "8d", "--reason", "r"), "InvalidSilence"),
        (("silence", "--code", "No Code", "--for", "1h", "--reason", "r"), "InvalidSilence"),
        (("silence", "--code", "x", "--alert", "ab" * 10, "--for", "1h", "--reason", "r"), "InvalidSilence"),
    ],
)
def test_what_cannot_be_done(world: World, arguments: tuple[str, ...], says: str) -> None:
    """An exit code and a name for scripts; nothing was changed."""
    result = run(*arguments, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr.splitlines()[-1])["error"]["code"] == says
    assert world.store.records == world.store.silences == {}
