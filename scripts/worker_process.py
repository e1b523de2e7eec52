"""One transfer worker as a real process under a role: start it, wait until it is ready, stop, kill or freeze it.

    with WorkerProcess(deployment, variables=cloud.variables("worker"), log=folder / "worker.log") as worker:
        worker.wait_until_ready()
        ...                # it takes transfers; leaving the block sends SIGTERM, and SIGKILL if that is not enough

It signals nothing but the process that it started.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pqtransfer.environment import name_variable
from pqtransfer.errors import UnavailableError
from pqtransfer.sdk.deployment import Deployment
from scripts.toolchain import ROOT
from transfer_worker.settings import WorkerSettings

HOST = "127.0.0.1"
UP_MESSAGE = "the worker is up"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.05


class WorkerStartError(UnavailableError):
    """The worker did not come up, or is not ready."""

    def __init__(self, what: str, log: Path) -> None:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        super().__init__(f"{what}; its log {log} ends with:\n{tail}")


class WorkerProcess:
    """A worker on loopback. `variables` is its whole environment (its AWS profile among it), `log` takes its output."""

    def __init__(
        self,
        deployment: Deployment | None,
        *,
        variables: Mapping[str, str],
        log: Path,
        settings: Mapping[str, Any] | None = None,
        ends_with_parent: bool = False,
    ) -> None:
        """
        Args:
            deployment: where the worker works; None: `variables` say it, as a task definition's do.
            variables: the environment of the process, as `EmbeddedCloud.variables("worker")` gives it.
            log: the file that its output is appended to.
            settings: fields of `WorkerSettings` to set otherwise, for example `{"lease_seconds": 6}`.
            ends_with_parent: kill it when the thread that starts it is gone, however that ends.

        Raises:
            ValueError: a setting is not a field of `WorkerSettings`.
        """
        self.log = log
        self._variables = {**variables, **name_settings(deployment, settings or {})}
        self._command = ["-m", "transfer_worker.main"]
        if ends_with_parent:
            self._command = ["-m", "scripts.embedded_cloud.tether", str(os.getpid())]
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process. It is not ready yet."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for whoever started it, which then stops it in good order
            )

    def wait_until_ready(self, *, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Wait until it takes transfers.

        Raises:
            WorkerStartError: it ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready:
            if not self.is_running:
                raise WorkerStartError(f"the worker ended with exit code {self.exit_code}", self.log)
            if time.monotonic() >= deadline:
                raise WorkerStartError(f"the worker was not ready within {timeout_seconds:.0f} s", self.log)
            time.sleep(POLL_SECONDS)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._started.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives (frozen counts)."""
        return self._started.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended: 0 after a clean stop, -9 after a kill; None while it lives."""
        return self._started.poll()

    @property
    def name(self) -> str | None:
        """How it signs as the owner of transfers; None until it is up."""
        up = self._find_up()
        return None if up is None else str(up["worker"])

    @property
    def health_port(self) -> int | None:
        """The port of its health endpoint; None until it is up."""
        up = self._find_up()
        return None if up is None else int(up["health_port"])

    @property
    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return bool(self.read_health().get("ready"))

    def read_health(self) -> dict[str, Any]:
        """What its health endpoint shows; empty when it does not answer."""
        port = self.health_port
        if port is None:
            return {}
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as answer:
                shown: dict[str, Any] = json.load(answer)
                return shown
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.load(error))
        except OSError:
            return {}

    def read_log(self) -> Iterator[dict[str, Any]]:
        """What it has logged since it was started, line by line."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            for line in file:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    yield json.loads(line)

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM), and return at once."""
        self._started.terminate()

    def kill(self) -> None:
        """End it at once (SIGKILL), in the middle of whatever it does."""
        self._started.kill()
        self._started.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self._started.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self._started.send_signal(signal.SIGCONT)

    def stop(self, *, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> int:
        """Stop it in good order, by force when it takes longer; return its exit code."""
        process = self._started
        if process.poll() is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return process.wait()

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise WorkerStartError("the worker was not started", self.log)
        return self._process

    def _find_up(self) -> dict[str, Any] | None:
        return next((line for line in self.read_log() if line.get("message") == UP_MESSAGE), None)


def name_settings(deployment: Deployment | None, settings: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a worker of `deployment`: what the settings and the deployment call alike, is alike.

    Raises:
        ValueError: a setting is not a field of `WorkerSettings`.
    """
    unknown = settings.keys() - WorkerSettings.model_fields.keys()
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: not settings of a worker; see transfer_worker/settings.py")
    told = {} if deployment is None else deployment.model_dump()
    known = {name: value for name, value in told.items() if name in WorkerSettings.model_fields}
    ours = {"health_host": HOST, "health_port": 0, "stop_timeout_seconds": STOP_TIMEOUT_SECONDS}
    values = {**known, **ours, **settings}
    return {name_variable(name): str(value) for name, value in values.items() if value is not None}
