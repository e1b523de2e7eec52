"""The processes of a deployed function in the embedded cloud, found among the children of that cloud alone."""

import os
import signal
from pathlib import Path

from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.server import find_server

PROC = Path("/proc")


def find_processes(cloud: EmbeddedCloud, function_name: str) -> list[int]:
    """The processes that run the function now, each a descendant of the cloud that this run of the tests started."""
    server = find_server(cloud.folder)
    assert server is not None
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={function_name}".encode()
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdigit() and wanted in _read(folder / "environ").split(b"\0"):
            pid = int(folder.name)
            if _descends_from(pid, server.pid):
                found.append(pid)
    return found


def kill_processes(cloud: EmbeddedCloud, function_name: str) -> int:
    """Kill them with SIGKILL, and return how many there were."""
    killed = 0
    for pid in find_processes(cloud, function_name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed += 1
    return killed


def _descends_from(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = _parent_of(pid)
        if pid == ancestor:
            return True
    return False


def _parent_of(pid: int) -> int:
    """0 when the process has ended meanwhile."""
    status = _read(PROC / str(pid) / "stat")
    return int(status.rpartition(b")")[2].split()[1]) if status else 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended, or belongs to somebody else
        return b""
