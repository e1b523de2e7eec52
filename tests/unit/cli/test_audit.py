"""What the commands on the audit log show of events that strangers have a part in."""

import json
from pathlib import Path

import pytest

from pqtransfer.audit.events import Target
from tests.unit.audit.log_directories import write_log
from tests.unit.audit.samples import make_event
from tests.unit.cli.scripting import run_command

HOSTILE = "evil\x1b[2J\x07\nintact           yes\u202e[bold]x[/bold]"


@pytest.fixture(autouse=True)
def _log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of one event, whose every free text is hostile."""
    monkeypatch.chdir(tmp_path)
    event = make_event(actor=HOSTILE, target=Target(type="key", id=HOSTILE), reason=HOSTILE, details={"note": HOSTILE})
    write_log(tmp_path, [event])


@pytest.mark.parametrize(
    "command", ["tail --log log", "search --log log", "prove 0 --log log --out 0.proof", "check-proof 0.proof"]
)
def test_no_event_moves_the_cursor_of_a_terminal(command: str) -> None:
    """Neither controls nor signs that turn the direction, in a table or in lines."""
    if "check-proof" in command:
        run_command("pqtransfer audit prove 0 --log log --out 0.proof")
    exit_code, stdout, _ = run_command(f"pqtransfer audit {command}")
    assert exit_code == 0
    assert "evil" in stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(stdout)
    assert "\nintact           yes" not in stdout


@pytest.mark.parametrize("command", ["tail --log log --json", "search --log log --json"])
def test_json_has_the_text_as_it_is(command: str) -> None:
    _, stdout, _ = run_command(f"pqtransfer audit {command}")
    assert json.loads(stdout)[0]["actor"] == HOSTILE
    assert "\x1b" not in stdout
