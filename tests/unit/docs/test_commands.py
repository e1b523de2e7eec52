"""What README.md and docs/ tell people to type is true: the options exist, and the offline examples work as shown."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from pqtransfer.cli.main import app
from scripts.toolchain import ROOT
from tests.containers import make_bytes
from tests.unit.audit.log_directories import make_events, write_log
from tests.unit.cli.scripting import run_command
from tests.unit.docs.pages import Block, Shown, list_commands, list_pages, read_blocks, read_commands

COMMANDS = list_commands()
OFFLINE = {"keygen", "encrypt", "decrypt", "inspect", "verify", "rewrap"}
README = ROOT / "README.md"
PASSES_ON = re.compile(r"other arguments?", re.IGNORECASE)
CHANGES_EACH_TIME = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{16,}\b|\d{4}-\d\d-\d\dT[\d:]+Z"
)


def name_command(shown: Shown) -> str:
    return f"{shown.place} {' '.join(shown.words[:2])}"


def select(program: str) -> list[Shown]:
    return [shown for shown in COMMANDS if shown.words and shown.words[0].startswith(program)]


def test_the_pages_show_commands() -> None:
    """If nothing were found, the tests below would pass over everything."""
    assert {shown.words[1] for shown in select("pqtransfer")} >= OFFLINE | {"send", "receive"}
    assert {shown.words[0] for shown in select("scripts/")} >= {"scripts/demo", "scripts/test", "scripts/deploy"}


@pytest.mark.parametrize("shown", select("pqtransfer"), ids=name_command)
def test_a_command_line_of_pqtransfer_is_understood(shown: Shown) -> None:
    """Command, options and arguments are parsed as the program would; nothing is run."""
    parse_command_line(typer.main.get_command(app), shown.words)


@pytest.mark.parametrize("words", [["pqtransfer", "no-such"], ["pqtransfer", "verify", "container", "--no-such"]])
def test_a_wrong_command_line_is_found(words: list[str]) -> None:
    """The test above can fail."""
    with pytest.raises(Exception, match=r"[Nn]o such"):
        parse_command_line(typer.main.get_command(app), words)


@pytest.mark.parametrize("shown", select("scripts/"), ids=name_command)
def test_a_command_line_of_a_script_is_understood(shown: Shown) -> None:
    """The script is there, and its help knows the options that are shown."""
    script, *arguments = shown.words
    assert (ROOT / script).is_file(), f"{shown.place} shows {script}, which is not there"
    about = describe_script(script)
    unknown = [
        word
        for word in arguments
        if word.startswith("-") and not re.search(rf"(?<![\w-]){word.split('=')[0]}\b", about)
    ]
    assert not unknown or PASSES_ON.search(about), f"{shown.place}: {script} knows no {', '.join(unknown)}"


def test_the_offline_examples_work_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's commands in their order, in an empty directory with a model in it; then its Python."""
    monkeypatch.chdir(tmp_path)
    Path("model.safetensors").write_bytes(make_bytes("model.safetensors", 3_000_000))
    for shown in [each for block in read_blocks(README) for each in read_commands(block) if is_offline(each)]:
        exit_code, stdout, stderr = run_command(shlex.join(shown.words))
        assert exit_code == 0, f"{shown.place}: exit code {exit_code}\n{stdout}{stderr}"
        if any(line.strip() for line in shown.output):
            assert mask("\n".join(shown.output)) == mask(stdout), f"{shown.place} printed:\n{stdout}"
    assert Path("received.safetensors").read_bytes() == Path("model.safetensors").read_bytes()
    for block in read_blocks(README):
        if is_offline_python(block):
            exec(compile(block.body, block.place, "exec"), {"__name__": "readme"})  # noqa: S102 - our own README


def test_the_audit_examples_work_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's commands on the audit log in their order, with a copy of a log that was fetched before."""
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path, make_events(100))
    commands = [shown for shown in select("pqtransfer") if is_audit(shown)]
    assert len(commands) >= 6
    for shown in commands:
        exit_code, stdout, stderr = run_command(shlex.join(shown.words))
        assert exit_code == 0, f"{shown.place}: exit code {exit_code}\n{stdout}{stderr}"


@pytest.mark.parametrize("page", list_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    missing = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def parse_command_line(command: Any, words: list[str]) -> None:
    """Parse as the program does, group after group, without running the command."""
    name, *arguments = words
    context = command.make_context(name, list(arguments), resilient_parsing=False)
    while isinstance(command, TyperGroup):
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, arguments, parent=context)


@cache
def describe_script(script: str) -> str:
    """A script's own text, and the help of the module that it runs."""
    text = (ROOT / script).read_text(encoding="utf-8")
    module = re.search(r"-m ((?:scripts|tests)\.[\w.]+)", text)
    if module is None:
        return text
    command = [sys.executable, "-m", module[1], "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout + text


def is_offline(shown: Shown) -> bool:
    """A command that needs no deployment."""
    return len(shown.words) > 1 and shown.words[0] == "pqtransfer" and shown.words[1] in OFFLINE


def is_audit(shown: Shown) -> bool:
    """A command on the audit log of the README, once there is a copy of a log."""
    needs_deployment = {"keys", "fetch", "retention"}
    return shown.place.startswith("README") and shown.words[1] == "audit" and shown.words[2] not in needs_deployment


def is_offline_python(block: Block) -> bool:
    """Python that needs no deployment."""
    return block.language == "python" and "deployment" not in block.body


def mask(text: str) -> str:
    """Without what is another at every run: ids, digests, times; and without spaces at line ends."""
    return "\n".join(line.rstrip() for line in CHANGES_EACH_TIME.sub("...", text).strip().splitlines())
