"""A simulated ECS service: workers start, take one transfer at a time, die now and then, and are never interrupted."""

import math
import random
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from scripts.simulation.workload import Job

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Conditions:
    """How workers are, for every policy alike. Times in seconds, rates in bytes per second."""

    minimum: int = 2
    maximum: int = 200
    startup: float = 75.0
    startup_spread: float = 0.2
    rate: float = 115e6
    rate_spread: float = 0.15
    overhead: float = 5.0
    hours_between_deaths: float = 200.0
    lease: float = 60.0
    busy_cpu_percent: float = 55.0


@dataclass
class Worker:
    """One task. `wake` is what an idle one waits for."""

    started: float
    is_up: bool = False
    job: Job | None = None
    busy_since: float | None = None
    rate: float = 0.0
    wake: simpy.Event | None = None
    is_gone: bool = False


@dataclass
class Fleet:
    """The service, its queue, and what they did. It never stops a worker that has a transfer in its hands."""

    environment: simpy.Environment
    conditions: Conditions
    seed: int
    desired: int = 0
    queue: deque[Job] = field(default_factory=deque)
    workers: list[Worker] = field(default_factory=list)
    idle: list[Worker] = field(default_factory=list)
    task_seconds: float = 0.0
    deaths: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self.set_desired(self.conditions.minimum)

    @property
    def running(self) -> int:
        return sum(worker.is_up for worker in self.workers)

    @property
    def in_flight(self) -> int:
        return sum(worker.job is not None for worker in self.workers)

    def measure_rate(self) -> float:
        """Bytes per second of a busy worker in the last minute, as CloudWatch would tell: some have only begun."""
        now, busy = self.environment.now, [worker for worker in self.workers if worker.busy_since is not None]
        moved = sum(worker.rate * min(60.0, now - (worker.busy_since or now)) for worker in busy)
        return moved / 60.0 / max(1, len(busy))

    def feed(self, jobs: Sequence[Job]) -> Steps:
        """The transfers come in."""
        for job in jobs:
            if job.submitted > self.environment.now:
                yield self.environment.timeout(job.submitted - self.environment.now)
            self.put(job)

    def put(self, job: Job) -> None:
        """A message: for a worker that is idle, or for the queue."""
        job.queued = self.environment.now
        if self.idle:
            worker = self.idle.pop()
            assert worker.wake is not None  # noqa: S101 - an idle worker waits
            worker.job = job
            worker.wake.succeed()
        else:
            self.queue.append(job)

    def set_desired(self, count: int) -> None:
        """As UpdateService: starts what is missing, stops what is not up or idle and too much."""
        self.desired = count
        missing = count - len(self.workers)
        for _ in range(missing):
            worker = Worker(self.environment.now)
            self.workers.append(worker)
            self.environment.process(self._live(worker))
        if missing < 0:
            starting = [worker for worker in self.workers if not worker.is_up]
            for worker in [*reversed(starting), *reversed(self.idle)][:-missing]:
                self._end(worker)

    def _live(self, worker: Worker) -> Steps:
        c, chance = self.conditions, self._chance
        rate = worker.rate = c.rate * math.exp(chance.gauss(0, c.rate_spread))
        dies_at = self.environment.now + chance.expovariate(1 / (c.hours_between_deaths * 3600))
        yield self.environment.timeout(c.startup * math.exp(chance.gauss(0, c.startup_spread)))
        if worker.is_gone:
            return
        worker.is_up = True
        while not worker.is_gone:
            if worker.job is None and not self._take(worker):
                worker.busy_since = None
                if len(self.workers) > self.desired:
                    self._end(worker)
                    return
                worker.wake = self.environment.event()
                self.idle.append(worker)
                yield worker.wake
                continue
            job = worker.job
            assert job is not None  # noqa: S101 - taken above
            if worker.busy_since is None:
                worker.busy_since = self.environment.now
            if job.begun is None:
                job.begun = self.environment.now
            seconds = c.overhead + job.left / rate
            if self.environment.now + seconds > dies_at:
                lived = max(0.0, dies_at - self.environment.now)
                yield self.environment.timeout(lived)
                job.left = max(0.0, job.left - rate * max(0.0, lived - c.overhead))
                self._die(worker, job)
                return
            yield self.environment.timeout(seconds)
            job.left, job.done, worker.job = 0.0, self.environment.now, None

    def _take(self, worker: Worker) -> bool:
        worker.job = self.queue.popleft() if self.queue else None
        return worker.job is not None

    def _die(self, worker: Worker, job: Job) -> None:
        """The message comes back when the lease is over, and goes on from its checkpoint; ECS starts another task."""
        self.deaths += 1
        worker.job = None
        self._end(worker)
        self.environment.process(self._bring_back(job))
        self.set_desired(self.desired)

    def _bring_back(self, job: Job) -> Steps:
        yield self.environment.timeout(self.conditions.lease)
        self.put(job)

    def _end(self, worker: Worker) -> None:
        worker.is_gone = True
        self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)
            assert worker.wake is not None  # noqa: S101 - an idle worker waits
            worker.wake.succeed()
        self.task_seconds += max(60.0, self.environment.now - worker.started)  # Fargate bills a minute at least

    def close(self) -> None:
        """The end of the time: what still runs is billed."""
        for worker in list(self.workers):
            self.task_seconds += max(60.0, self.environment.now - worker.started)
