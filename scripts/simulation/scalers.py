"""The policies that are compared. Each looks at the fleet now and then, and sets its desired count."""

import bisect
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Protocol

from pqtransfer.scaling.deciding import Decision, decide
from pqtransfer.scaling.observing import Observation, WaitingTransfer
from pqtransfer.scaling.policy import ScalingPolicy
from scripts.simulation.fleet import Conditions, Fleet
from scripts.simulation.workload import Job

SAMPLE_SIZE = 200
REMEMBERED = 20
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Scaler(Protocol):
    """One policy."""

    name: str
    every: float
    """Seconds between two looks."""

    def look(self, fleet: Fleet, now: float) -> int:
        """The desired count."""


class Ours:
    """The deployed policy: `pqtransfer.scaling`, by the minute, as `decide_scaling` runs it."""

    name, every = "pqtransfer", 60.0

    def __init__(self, conditions: Conditions) -> None:
        self._policy = ScalingPolicy(minimum=conditions.minimum, maximum=conditions.maximum)
        self._conditions = conditions
        self._recent: list[Decision] = []

    def look(self, fleet: Fleet, now: float) -> int:
        running, in_flight = fleet.running, fleet.in_flight
        cpu = self._conditions.busy_cpu_percent * in_flight / running if running else 0.0
        decision = decide(
            Observation(
                at=_at(now),
                desired=fleet.desired,
                running=running,
                pending=len(fleet.workers) - running,
                messages_waiting=len(fleet.queue),
                messages_in_flight=in_flight,
                oldest_waiting=tuple(_describe(job) for job in islice(fleet.queue, SAMPLE_SIZE)),
                protected=in_flight,
                cpu_percent=(cpu,) * 6,
                bytes_per_second=fleet.measure_rate(),
            ),
            self._policy,
            recent=self._recent,
        )
        self._recent = [replace(decision, applied=True), *self._recent[: REMEMBERED - 1]]
        return decision.desired


class StepScaling:
    """AWS step scaling on the queue: +10, +50 or +100 % by how long it is; -10 % while it is empty, every 5 minutes."""

    name, every = "step scaling", 60.0
    cooldown_in, cooldown_out = 300.0, 60.0

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._changed = -math.inf

    def look(self, fleet: Fleet, now: float) -> int:
        waiting, desired = len(fleet.queue), fleet.desired
        if waiting > 0 and now - self._changed >= self.cooldown_out:
            share = 1.0 if waiting > 1000 else 0.5 if waiting > 100 else 0.1
            self._changed, desired = now, desired + max(1, math.ceil(desired * share))
        elif waiting == 0 and now - self._changed >= self.cooldown_in:
            self._changed, desired = now, desired - max(1, math.floor(desired * 0.1))
        return min(self._conditions.maximum, max(self._conditions.minimum, desired))


class TargetTracking:
    """AWS target tracking on messages for each task: out after 3 minutes over the target, in after 15 under 90 % of it.

    The target is what a task works off in the time that ours wants the queue to be empty in.
    """

    name, every = "target tracking", 60.0
    minutes_out, minutes_in = 3, 15

    def __init__(self, conditions: Conditions, *, mean_size: float) -> None:
        self._conditions = conditions
        self._target = ScalingPolicy(minimum=1, maximum=1).drain_seconds / (mean_size / conditions.rate)
        self._over = self._under = 0

    def look(self, fleet: Fleet, now: float) -> int:  # noqa: ARG002 - counts minutes
        backlog = (len(fleet.queue) + fleet.in_flight) / max(1, fleet.running)
        self._over = self._over + 1 if backlog > self._target else 0
        self._under = self._under + 1 if backlog < 0.9 * self._target else 0
        desired = fleet.desired
        if self._over >= self.minutes_out or self._under >= self.minutes_in:
            desired = math.ceil(fleet.running * backlog / self._target)
        return min(self._conditions.maximum, max(self._conditions.minimum, desired))


class Fixed:
    """As many as the limit, always."""

    name, every = "fixed fleet", 86400.0

    def __init__(self, conditions: Conditions) -> None:
        self._count = conditions.maximum

    def look(self, fleet: Fleet, now: float) -> int:  # noqa: ARG002 - it looks at nothing
        return self._count


class Oracle:
    """Knows every arrival beforehand, under the same limits and start-up time.

    It has a worker up for each transfer when that comes, as far as the limit goes, and lets a worker go the moment that
    nothing is left for it and nothing comes within the time that starting another one takes.
    """

    name, every = "oracle", 5.0

    def __init__(self, conditions: Conditions, arrivals: Sequence[float]) -> None:
        self._conditions = conditions
        self._arrivals = arrivals
        self._ahead = conditions.startup * math.exp(2 * conditions.startup_spread)

    def look(self, fleet: Fleet, now: float) -> int:
        here = bisect.bisect_right(self._arrivals, now)
        coming = bisect.bisect_right(self._arrivals, now + self._ahead) - here
        wanted = len(fleet.queue) + fleet.in_flight + coming
        return min(self._conditions.maximum, max(self._conditions.minimum, wanted))


def _describe(job: Job) -> WaitingTransfer:
    due = None if job.due is None else _at(job.due)
    return WaitingTransfer(_at(job.submitted), size_bytes=int(job.size), deadline=due)


def _at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)
