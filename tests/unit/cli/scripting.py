"""Run a script of commands and expected output, as a person would type them.

    # a comment
    $ pqtransfer keygen --out keys/hospital-a
    participant   hospital-a            a line of stdout; ... stands for anything within a line
    ...                                 alone: any number of lines
    ! error: ...                        a line of stderr
    [3]                                 the exit code, where it is not 0

Besides `pqtransfer` a script may use: `write FILE BYTES`, `same FILE FILE`, `ls DIR`, `chmod MODE FILE`, `damage FILE`,
`cut FILE`, `copy FROM TO`, `mkdir DIR`, `remove FILE`, and `log COUNT`, which makes an audit log in `log`, with its
keys in `audit-keys.json`. All paths are relative to an empty directory.
"""

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from pqtransfer.cli.main import app
from tests.containers import make_bytes
from tests.unit.audit.log_directories import make_events, write_log

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass
class Step:
    """One command, and what it must print."""

    line_number: int
    command: str
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    exit_code: int = 0


def read_script(path: Path) -> list[Step]:
    """The steps of a script."""
    steps: list[Step] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        code = re.fullmatch(r"\[(\d+)\]", line)
        if line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif line.startswith("! "):
            steps[-1].stderr.append(line[2:])
        elif code:
            steps[-1].exit_code = int(code[1])
        elif line.strip() and not line.startswith("#"):
            steps[-1].stdout.append(line)
    return steps


def run_script(path: Path) -> None:
    """Run every step in the current directory and compare."""
    for step in read_script(path):
        exit_code, stdout, stderr = run_command(step.command)
        place = f"{path.name}:{step.line_number}: $ {step.command}\n"
        assert exit_code == step.exit_code, f"{place}exit code {exit_code}\n{stdout}{stderr}"
        assert matches(step.stdout, stdout), f"{place}printed:\n{stdout}"
        assert matches(step.stderr, stderr), f"{place}printed on stderr:\n{stderr}"


def run_command(command: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    name, *arguments = shlex.split(command)
    if name != "pqtransfer":
        return 0, BUILT_IN[name](*arguments), ""
    result = CliRunner().invoke(app, arguments, prog_name="pqtransfer")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def matches(expected: list[str], printed: str) -> bool:
    """True when the printed lines are the expected ones."""
    pattern = "".join(
        r"(?:[^\n]*\n)*" if line == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", "[^\n]*") + r"[ ]*\n"
        for line in expected
    )
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n") is not None


def _write(name: str, size: str) -> str:
    Path(name).write_bytes(make_bytes(name, int(size)))
    return ""


def _same(first: str, second: str) -> str:
    return "same" if Path(first).read_bytes() == Path(second).read_bytes() else "different"


def _list(directory: str) -> str:
    return "\n".join(sorted(path.name for path in Path(directory).iterdir()))


def _change_mode(mode: str, name: str) -> str:
    Path(name).chmod(int(mode, 8))
    return ""


def _damage(name: str) -> str:
    data = bytearray(Path(name).read_bytes())
    data[len(data) // 2] ^= 1
    Path(name).write_bytes(data)
    return ""


def _cut(name: str) -> str:
    Path(name).write_bytes(Path(name).read_bytes()[:-1])
    return ""


def _copy(source: str, target: str) -> str:
    if Path(source).is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
    return ""


def _make_directory(name: str) -> str:
    Path(name).mkdir()
    return ""


def _remove(name: str) -> str:
    Path(name).unlink()
    return ""


def _write_log(count: str) -> str:
    write_log(Path(), make_events(int(count)))
    return ""


BUILT_IN: dict[str, Callable[..., str]] = {
    "write": _write,
    "same": _same,
    "ls": _list,
    "chmod": _change_mode,
    "damage": _damage,
    "cut": _cut,
    "copy": _copy,
    "mkdir": _make_directory,
    "remove": _remove,
    "log": _write_log,
}
