"""What the process takes, and what it is given: read as Linux says it."""

from pathlib import Path

import pytest

from transfer_worker.resources import _read_network, find_limits, read_use

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo: 900     9    0    0    0     0          0         0 900     9    0    0    0     0       0          0
  eth0: 100     1    0    0    0     0          0         0      20     1    0    0    0     0       0          0
  eth1:7 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
"""


def test_every_interface_but_loopback_counts() -> None:
    """Those of a task have no other traffic than the worker's."""
    assert _read_network(TABLE) == (107, 25)


def test_the_process_takes_something() -> None:
    """A Python process takes megabytes and CPU time."""
    use = read_use()
    assert use.memory_bytes > 1 << 20
    assert use.cpu_seconds > 0
    assert min(use.received_bytes, use.sent_bytes) >= 0


@pytest.mark.parametrize(
    ("files", "given", "memory", "cpus"),
    [
        ({"memory.max": "2147483648", "cpu.max": "150000 100000"}, {}, 2147483648, 1.5),
        ({"memory.max": "2147483648", "cpu.max": "150000 100000"}, {"memory_bytes": 5, "cpus": 4.0}, 5, 4.0),
    ],
)
def test_limits_are_what_was_set_or_what_the_control_group_says(
    tmp_path: Path, files: dict[str, str], given: dict[str, float], memory: int, cpus: float
) -> None:
    """What the infrastructure says counts more."""
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    limits = find_limits(**{"memory_bytes": None, "cpus": None, **given}, cgroup=tmp_path)  # type: ignore[arg-type]
    assert (limits.memory_bytes, limits.cpus) == (memory, cpus)


@pytest.mark.parametrize("files", [{}, {"memory.max": "max", "cpu.max": "max 100000"}])
def test_without_a_limit_it_is_the_machine(tmp_path: Path, files: dict[str, str]) -> None:
    """No control group, or none that limits."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    limits = find_limits(memory_bytes=None, cpus=None, cgroup=tmp_path)
    assert limits.memory_bytes > 1 << 26
    assert limits.cpus >= 1
