"""Runs `pqtransfer` in the embedded cloud as a person would, under a role: the command is shown, and its answer too."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pqtransfer.errors import PqtransferError
from scripts.embedded_cloud import EmbeddedCloud
from scripts.toolchain import ROOT


class CommandError(PqtransferError):
    """A command of the demo failed."""

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"`{shlex.join(command)}` ended with exit code {code}")


@dataclass(frozen=True)
class Running:
    """A command that was started; what it prints goes to a file, and is shown at its end."""

    arguments: Sequence[str]
    process: "subprocess.Popen[bytes]"
    output: BinaryIO

    def finish(self) -> dict[str, Any]:
        """Wait for its end, show what it printed, and return it as fields.

        Raises:
            CommandError: it failed.
        """
        code = self.process.wait()
        with self.output:
            self.output.seek(0)
            text = self.output.read().decode()
        sys.stdout.write(text)
        sys.stdout.flush()
        if code:
            raise CommandError(self.arguments, code)
        return _read_fields(text)


@dataclass(frozen=True)
class Terminal:
    """Runs `pqtransfer` under a role of the embedded cloud, with its progress bar on this terminal."""

    cloud: EmbeddedCloud

    def run(self, *arguments: str, role: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run one command under a role to its end, and return what it printed as fields."""
        return self.start(*arguments, role=role, variables=variables).finish()

    def start(self, *arguments: str, role: str, variables: Mapping[str, str] | None = None) -> Running:
        """Start a command under a role."""
        named = {"PQTRANSFER_DEPLOYMENT": str(self.cloud.deployment_file)}
        return self._start(arguments, {**self.cloud.variables(role), **named}, shown=variables or {})

    def run_offline(self, *arguments: str) -> dict[str, Any]:
        """Run one command that is told of no cloud, of no account and of no deployment."""
        kept = {name: os.environ[name] for name in ("HOME", "PATH", "TERM") if name in os.environ}
        return self._start(arguments, kept, shown={}).finish()

    def _start(self, arguments: Sequence[str], variables: Mapping[str, str], *, shown: Mapping[str, str]) -> Running:
        settings = [f"{name}={value}" for name, value in shown.items()]
        print("\n$ " + " ".join([*_short(settings), shlex.join(_short(arguments))]), flush=True)
        command = [str(ROOT / ".venv" / "bin" / "pqtransfer"), *arguments[1:]]
        output = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the command has finished
        process = subprocess.Popen(command, env={**variables, **shown}, stdin=subprocess.DEVNULL, stdout=output)
        return Running(arguments, process, output)


def _short(arguments: Sequence[str]) -> list[str]:
    """Arguments as a person would write them, with paths under the project's folder cut short."""
    return [argument.replace(f"{ROOT}/", "") for argument in arguments]


def _read_fields(text: str) -> dict[str, Any]:
    """`name  value` lines, or JSON, as a dictionary."""
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        return parsed if isinstance(parsed, dict) else {}
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {name.strip().replace(" ", "_"): value.strip() for name, value in pairs}
