"""Run contenders one after the other, A B C A B C, each in a process of its own, and keep what each took."""

import filecmp
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pqtransfer.errors import PqtransferError
from scripts.benchmarks.process_costs import read_cpu_seconds
from scripts.benchmarks.task import Task

ROOT = Path(__file__).parents[2]
Action = Literal["send", "receive"]


class ContenderError(PqtransferError):
    """A contender did not do its task."""

    def __init__(self, contender: str, action: str, outcome: str) -> None:
        super().__init__(f"{action} by {contender} ended with {outcome}; what it said stands above")


@dataclass(frozen=True)
class Sample:
    """What one run took. CPU is user and system time: of the client, and of the store from its start to its end."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    store_cpu_seconds: float


@dataclass(frozen=True)
class Measured:
    """The runs of one contender at one task."""

    contender: str
    samples: tuple[Sample, ...]

    @property
    def wall_seconds(self) -> float:
        """Median."""
        return statistics.median(sample.wall_seconds for sample in self.samples)

    @property
    def cpu_seconds(self) -> float:
        """Median."""
        return statistics.median(sample.cpu_seconds for sample in self.samples)

    @property
    def store_cpu_seconds(self) -> float:
        """Median."""
        return statistics.median(sample.store_cpu_seconds for sample in self.samples)

    @property
    def peak_rss_bytes(self) -> int:
        """The most of all runs."""
        return max(sample.peak_rss_bytes for sample in self.samples)


def measure(
    action: Action,
    tasks: Mapping[str, Task],
    *,
    runs: int,
    sent: Path,
    store_process_id: int,
    say: Callable[[str], None],
) -> list[Measured]:
    """Run every contender `runs` times, in turns.

    What a `receive` writes is compared with the file that was `sent` (in the first round) and removed.

    Raises:
        ContenderError: one of them failed, or received something else.
    """
    samples: dict[str, list[Sample]] = {contender: [] for contender in tasks}
    for number in range(runs):
        for contender, task in tasks.items():
            sample = _run_once(contender, action, task, store_process_id)
            samples[contender].append(sample)
            say(f"{action} {contender}: {sample.wall_seconds:.2f} s, CPU {sample.cpu_seconds:.2f} s")
            if action == "receive":
                if number == 0 and not filecmp.cmp(sent, task.path, shallow=False):
                    raise ContenderError(contender, action, "other bytes than were sent")
                task.path.unlink()
    return [Measured(contender, tuple(samples[contender])) for contender in tasks]


def _run_once(contender: str, action: str, task: Task, store_process_id: int) -> Sample:
    store_before = read_cpu_seconds(store_process_id)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.run_contender", contender, action, task.to_json()],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise ContenderError(contender, action, f"exit code {done.returncode}")
    store_cpu_seconds = read_cpu_seconds(store_process_id) - store_before
    return Sample(**json.loads(done.stdout), store_cpu_seconds=store_cpu_seconds)
