"""Run one policy over the work of a month, and measure it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import simpy

from scripts.simulation.fleet import Conditions, Fleet, Steps
from scripts.simulation.scalers import Fixed, Oracle, Ours, Scaler, StepScaling, TargetTracking
from scripts.simulation.workload import DAY, HOUR, Job, Workload, make_jobs

VCPU_HOUR_USD, GB_HOUR_USD = 0.04048, 0.004445
"""Fargate, Linux on x86, us-east-1, on demand: the list prices of AWS as of 2025."""
VCPUS, MEMORY_GB = 1, 2
TASK_HOUR_USD = VCPUS * VCPU_HOUR_USD + MEMORY_GB * GB_HOUR_USD
SAMPLE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What a policy came to. Times in seconds."""

    name: str
    transfers: int
    median_wait: float
    p99_wait: float
    drain: float
    missed: int
    task_hours: float
    deaths: int
    unfinished: int
    workers: tuple[tuple[float, int], ...]

    @property
    def cost_usd(self) -> float:
        """At the prices above."""
        return self.task_hours * TASK_HOUR_USD


def compare(workload: Workload, conditions: Conditions, *, seed: int) -> list[Outcome]:
    """Every policy on the same work; the oracle last."""
    jobs = make_jobs(workload, seed=seed)
    mean_size = (workload.smallest + workload.largest) / 2
    scalers: list[Scaler] = [
        Ours(conditions),
        TargetTracking(conditions, mean_size=mean_size),
        StepScaling(conditions),
        Fixed(conditions),
        Oracle(conditions, [job.submitted for job in jobs]),
    ]
    return [simulate(scaler, jobs, workload, conditions, seed=seed) for scaler in scalers]


def simulate(scaler: Scaler, jobs: Sequence[Job], workload: Workload, conditions: Conditions, *, seed: int) -> Outcome:
    """One policy."""
    own = copy.deepcopy(list(jobs))
    environment = simpy.Environment()
    fleet = Fleet(environment, conditions, seed)

    def scale() -> Steps:
        while True:
            fleet.set_desired(scaler.look(fleet, environment.now))
            yield environment.timeout(scaler.every)

    def sample() -> Steps:
        while True:
            fleet.samples.append((environment.now, len(fleet.workers)))
            yield environment.timeout(SAMPLE_SECONDS)

    environment.process(fleet.feed(own))
    environment.process(scale())
    environment.process(sample())
    end = workload.days * DAY
    environment.run(until=end)
    fleet.close()
    return _measure(scaler.name, own, fleet, workload)


def _measure(name: str, jobs: Sequence[Job], fleet: Fleet, workload: Workload) -> Outcome:
    waits = sorted(job.begun - job.submitted for job in jobs if job.begun is not None)
    rounds: dict[float, float] = {}
    for job in jobs:
        if job.due is not None and job.done is not None:
            started = job.due - workload.due_after
            rounds[started] = max(rounds.get(started, 0.0), job.done - started)
    return Outcome(
        name=name,
        transfers=len(jobs),
        median_wait=waits[len(waits) // 2],
        p99_wait=waits[int(len(waits) * 0.99)],
        drain=sum(rounds.values()) / max(1, len(rounds)),
        missed=sum(job.due is not None and (job.done is None or job.done > job.due) for job in jobs),
        task_hours=fleet.task_seconds / HOUR,
        deaths=fleet.deaths,
        unfinished=sum(job.done is None for job in jobs),
        workers=tuple(fleet.samples),
    )
