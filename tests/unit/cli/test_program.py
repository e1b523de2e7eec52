"""The program as a process: fast to start, clean on Ctrl-C and closed pipes, help with examples for every command."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pqtransfer.cli.main import app
from pqtransfer.sdk import encrypt_file, save_identity
from tests.containers import make_identity

REPOSITORY = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from pqtransfer.cli.main import run; run()"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY)}
OFFLINE_COMMANDS = ("keygen", "encrypt", "decrypt", "inspect", "verify", "rewrap")


def run_program(*arguments: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=directory, env=ENVIRONMENT, capture_output=True, check=False, timeout=60
    )


@pytest.fixture
def container(tmp_path: Path) -> Path:
    save_identity(make_identity("alice"), tmp_path / "alice")
    with (tmp_path / "model").open("wb") as file:
        file.truncate(20_000_000)  # three chunks on the way to stdout
    encrypt_file(tmp_path / "model", sender=make_identity("alice"), recipients=[], out=tmp_path / "container")
    return tmp_path / "container"


def test_help_needs_no_cloud_library(tmp_path: Path) -> None:
    """`pqtransfer --help` answers at once: nothing heavy is imported, not even the cryptography."""
    script = (
        "import sys; from typer.testing import CliRunner; from pqtransfer.cli.main import app; "
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0; "
        "print([name for name in ('boto3', 'botocore', 'cryptography', 'oqs') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", OFFLINE_COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """And options that are all explained."""
    help_text = CliRunner().invoke(app, [command, "--help"]).stdout
    assert "Example" in help_text
    assert f"pqtransfer {command} " in help_text
    for parameter in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        assert getattr(parameter, "help", None), f"{command} {parameter.name}"


def test_exit_codes_stand_in_the_help() -> None:
    """So that scripts can rely on them."""
    assert "Exit codes:" in CliRunner().invoke(app, ["--help"]).stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    """From the installed package."""
    assert run_program("--version", directory=tmp_path).stdout.startswith(b"pqtransfer ")


@pytest.mark.parametrize("arguments", [["--surprise"], ["surprise"], ["encrypt"], ["decrypt", "container"]])
def test_wrong_use_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    """And a usage line on stderr."""
    done = run_program(*arguments, directory=tmp_path)
    assert done.returncode == 2
    assert b"Usage:" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_error_ends_with_its_code_and_no_traceback(tmp_path: Path, container: Path) -> None:
    """In a real process too."""
    (container / "payload").write_bytes(b"")
    done = run_program("decrypt", "container", "--key", "alice", "--out", "out", directory=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: the payload has 0 bytes")
    assert done.stdout == b""


def test_a_range_goes_to_stdout_alone(tmp_path: Path, container: Path) -> None:
    """Nothing but the bytes: it can be piped."""
    done = run_program(
        "decrypt", "container", "--key", "alice", "--range", "1000000:1000100", "--out", "-", directory=tmp_path
    )
    assert done.returncode == 0
    assert done.stdout == bytes(100)


def test_a_pipe_that_closes_early_is_no_crash(tmp_path: Path, container: Path) -> None:
    """`pqtransfer decrypt ... --out - | head -c 10`."""
    with subprocess.Popen(
        [*PROGRAM, "decrypt", "container", "--key", "alice", "--sender", "alice", "--range", ":", "--out", "-"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == bytes(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    """Ctrl-C: no traceback, no container, nothing hidden left behind."""
    save_identity(make_identity("alice"), tmp_path / "alice")
    with (tmp_path / "model").open("wb") as file:
        file.truncate(8 << 30)
    with subprocess.Popen(
        [*PROGRAM, "encrypt", "model", "--sender", "alice", "--to", "alice", "--out", "container"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's parent ignores it
    ) as process:
        partial = tmp_path / ".container.pqtransfer-partial" / ".payload.pqtransfer-partial"
        while not partial.exists():
            assert process.poll() is None, process.stderr
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice", "model"]
