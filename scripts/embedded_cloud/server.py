"""Starts, finds and stops the emulator. It listens on loopback alone, checks signatures and obeys policies."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from pqtransfer.errors import UnavailableError
from scripts.toolchain import ROOT

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "000000000000"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.05
ROOT_ACCESS_KEY_ID = "test"
# What of the caller's environment reaches the emulator, and through it the functions that it runs.
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "SYSTEMROOT")


class CloudStartError(UnavailableError):
    """The embedded cloud did not come up."""


@dataclass(frozen=True)
class ServerState:
    """What has to be known to find a running emulator again. The file that holds it is readable by its owner alone."""

    pid: int
    port: int
    secret_access_key: str

    @property
    def endpoint_url(self) -> str:
        """Where every service answers."""
        return f"http://{HOST}:{self.port}"


def start_server(folder: Path, *, port: int | None, obeys_policies: bool = True) -> ServerState:
    """Start an emulator whose state, log and temporary files live in `folder`; wait until it answers.

    `obeys_policies`: requests are held to the policies of whoever signed them. Without, it takes the place of any AWS
    account (the access key id is the account's number), for tools whose own roles it cannot judge.

    Raises:
        CloudStartError: the port is taken, or it did not answer in time.
    """
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    chosen = port or _free_port()
    if _is_taken(chosen):
        raise CloudStartError(f"port {chosen} is taken; choose another with --port, or leave it out for a free one")
    secret = secrets.token_hex(20)
    log = folder / "cloud.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.embedded_cloud.emulator"],
            cwd=ROOT,
            env={**_variables(folder, port=chosen, secret=secret), "AUTH": str(obeys_policies).lower()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    state = ServerState(pid=process.pid, port=chosen, secret_access_key=secret)
    try:
        _wait_until_healthy(process, state, log)
    except BaseException:
        stop_server(state)
        raise
    _write_state(folder, state)
    return state


def find_server(folder: Path) -> ServerState | None:
    """The emulator that runs in `folder`, or None."""
    try:
        state = ServerState(**json.loads((folder / "cloud.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return state if is_healthy(state.endpoint_url) else None


def stop_server(state: ServerState) -> None:
    """Stop the emulator and the functions that it started. Stopping twice does nothing."""
    for sign, patience in ((signal.SIGTERM, STOP_TIMEOUT_SECONDS), (signal.SIGKILL, STOP_TIMEOUT_SECONDS)):
        # Its own session, so that its group is itself and the functions' processes, and nobody else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(state.pid, sign)
        if _ends_within(state.pid, patience):
            return


def forget_server(folder: Path) -> None:
    """Remove what `find_server` reads."""
    (folder / "cloud.json").unlink(missing_ok=True)


def is_healthy(endpoint_url: str) -> bool:
    """Whether something that speaks as the emulator answers."""
    try:
        with urllib.request.urlopen(f"{endpoint_url}/_localstack/health", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _variables(folder: Path, *, port: int, secret: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    return {
        **passed,
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_HOST": HOST,
        # Its MQTT broker would listen on every interface.
        "IOT_MTLS_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": secret,
        "TMPDIR": str(folder / "tmp"),
        "LOG_LEVEL": "INFO",
    }


def _write_state(folder: Path, state: ServerState) -> None:
    path = folder / "cloud.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(state)), encoding="utf-8")


def _wait_until_healthy(process: subprocess.Popen[bytes], state: ServerState, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if is_healthy(state.endpoint_url):
            return
        if process.poll() is not None:
            raise CloudStartError(f"the embedded cloud ended at once ({process.returncode}):\n{_tail(log)}")
        time.sleep(POLL_SECONDS)
    raise CloudStartError(
        f"the embedded cloud did not answer within {START_TIMEOUT_SECONDS:.0f} s; its log ends with:\n{_tail(log)}"
    )


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(POLL_SECONDS)
    return False
