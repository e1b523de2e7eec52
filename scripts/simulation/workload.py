"""The work of a month: rounds of federated learning in bursts, stragglers, and single transfers in between."""

import random
from dataclasses import dataclass
from operator import attrgetter

HOUR = 3600.0
DAY = 24 * HOUR
GB = 1e9


@dataclass(frozen=True)
class Workload:
    """What comes in. Times are in seconds, sizes in bytes.

    One round a day: all sites send within `ramp`, but for a share of stragglers that come later, exponentially. Beside
    it come single transfers at any time. Every transfer of a round says its size, and is due so long after its start.
    """

    days: int = 30
    transfers: int = 10_000
    smallest: float = 15 * GB
    largest: float = 20 * GB
    ramp: float = 300.0
    stragglers: float = 0.03
    straggler_delay: float = 0.5 * HOUR
    due_after: float = 2.5 * HOUR
    singles_per_hour: float = 6.0


@dataclass
class Job:
    """One transfer on its way. `left` is what has to be moved still."""

    submitted: float
    size: float
    due: float | None
    left: float
    queued: float = 0.0
    begun: float | None = None
    done: float | None = None


def make_jobs(workload: Workload, *, seed: int) -> list[Job]:
    """Every transfer of the time, in the order in which they come."""
    chance = random.Random(seed)
    jobs: list[Job] = []

    def add(at: float, due: float | None) -> None:
        size = chance.uniform(workload.smallest, workload.largest)
        jobs.append(Job(at, size, due, size))

    for day in range(workload.days):
        start = day * DAY + chance.uniform(6 * HOUR, 10 * HOUR)
        for _ in range(workload.transfers):
            late = chance.random() < workload.stragglers
            delay = chance.expovariate(1 / workload.straggler_delay) if late else 0.0
            add(start + chance.uniform(0, workload.ramp) + delay, start + workload.due_after)
    at = 0.0
    while workload.singles_per_hour and (at := at + chance.expovariate(workload.singles_per_hour / HOUR)):
        if at >= workload.days * DAY:
            break
        add(at, None)
    return sorted(jobs, key=attrgetter("submitted"))
