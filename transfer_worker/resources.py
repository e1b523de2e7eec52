"""What the worker's process takes of its machine: memory, CPU and network, as Linux counts them, and what it is given.

What a task is given is a setting (the infrastructure knows it); without one it is the control group's limit, or else
the whole machine. Network counts are those of the worker's network namespace without loopback: on Fargate its own,
elsewhere the machine's.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = "max"


@dataclass(frozen=True)
class ResourceLimits:
    """What the worker may take."""

    memory_bytes: int
    cpus: float


@dataclass(frozen=True)
class ResourceUse:
    """What it takes: memory now, the others since the process, or its namespace, began."""

    memory_bytes: int
    cpu_seconds: float
    received_bytes: int
    sent_bytes: int


def find_limits(*, memory_bytes: int | None, cpus: float | None, cgroup: Path = _CGROUP) -> ResourceLimits:
    """The limits that were set, or those that the process finds itself under."""
    return ResourceLimits(
        memory_bytes=memory_bytes or _read_memory_limit(cgroup) or os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES,
        cpus=cpus or _read_cpu_limit(cgroup) or float(os.cpu_count() or 1),
    )


def read_use() -> ResourceUse:
    """What the process takes at this moment."""
    resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    received, sent = _read_network(Path("/proc/self/net/dev").read_text(encoding="ascii"))
    return ResourceUse(resident_pages * _PAGE_BYTES, time.process_time(), received, sent)


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _read_network(table: str) -> tuple[int, int]:
    """Bytes received and sent: the first and the ninth number of each interface."""
    received = sent = 0
    for line in table.splitlines()[2:]:
        name, _, counts = line.partition(":")
        if name.strip() != "lo":
            numbers = counts.split()
            received, sent = received + int(numbers[0]), sent + int(numbers[8])
    return received, sent


def _read_memory_limit(cgroup: Path) -> int | None:
    text = _read(cgroup / "memory.max")
    return None if text in (None, _UNLIMITED) else int(text or 0)


def _read_cpu_limit(cgroup: Path) -> float | None:
    text = _read(cgroup / "cpu.max")
    if text is None:
        return None
    quota, _, period = text.partition(" ")
    return None if quota == _UNLIMITED else int(quota) / int(period)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # not there: no control group, or none that limits
        return None
