"""How many workers each reason asks for. Every need grows with its load, and none knows the limits of the fleet."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pqtransfer.scaling.observing import Observation, WaitingTransfer
from pqtransfer.scaling.policy import ScalingPolicy

URGENT_PRIORITY = 8
"""From here on a transfer is urgent: what stands before it in the queue has to go twice as fast."""
RATE_BOUND = 2.0
"""What was observed counts up to so many times more or less than what is expected of a worker: it is the mean of a
minute in which some have only begun.
"""


@dataclass(frozen=True)
class Need:
    """So many workers, for this reason (a code) and in these words."""

    workers: int
    reason: str
    says: str


def list_needs(seen: Observation, policy: ScalingPolicy) -> Iterator[Need]:
    """What each reason asks for. What could not be learned asks for nothing."""
    yield Need(policy.minimum, "minimum", f"the minimum is {policy.minimum}")
    if seen.busy:
        yield Need(seen.busy, "busy", f"{seen.busy} workers have work in their hands")
    if seen.messages_waiting:
        yield from _needs_of_backlog(seen, policy, seen.messages_waiting)
    yield from _needs_of_load(seen, policy)


def estimate_rate(seen: Observation, policy: ScalingPolicy) -> float:
    """Bytes per second of one worker that works."""
    expected = policy.worker_bytes_per_second
    if not seen.bytes_per_second or not seen.busy:
        return expected
    return min(expected * RATE_BOUND, max(expected / RATE_BOUND, seen.bytes_per_second))


def estimate_size(seen: Observation, policy: ScalingPolicy) -> float:
    """Bytes of a transfer that waits, on average."""
    sizes = [_size(each, policy) for each in seen.oldest_waiting or ()]
    return sum(sizes) / len(sizes) if sizes else float(policy.assumed_size_bytes)


def _needs_of_backlog(seen: Observation, policy: ScalingPolicy, waiting: int) -> Iterator[Need]:
    rate, size = estimate_rate(seen, policy), estimate_size(seen, policy)
    seconds_each = size / rate + policy.transfer_overhead_seconds
    jobs = waiting + seen.busy
    urgent = any(each.priority >= URGENT_PRIORITY for each in seen.oldest_waiting or ())
    drain = policy.drain_seconds / 2 if urgent else policy.drain_seconds
    seconds = (waiting + seen.busy / 2) * seconds_each  # what is in flight is half done, on average
    yield Need(
        min(jobs, max(1, math.ceil(seconds / drain))),
        "bytes",
        f"{waiting * size / 1e9:.1f} GB wait in {waiting} messages; in {drain:.0f} s they should be done",
    )
    if waiting > policy.messages_per_worker:
        yield Need(
            min(jobs, math.ceil(waiting / policy.messages_per_worker)),
            "queue",
            f"{waiting} messages wait, and {policy.messages_per_worker} for each worker are the threshold",
        )
    yield from _needs_of_deadlines(seen, policy, waiting, rate, jobs)
    oldest = max(((seen.at - each.submitted_at).total_seconds() for each in seen.oldest_waiting or ()), default=0.0)
    if seen.oldest_message_seconds is not None:
        oldest = min(oldest, seen.oldest_message_seconds)  # a row whose message is gone waits for nobody
    if oldest > policy.oldest_seconds:
        more = seen.running + max(1, seen.running // 2)
        yield Need(min(jobs, more), "age", f"the oldest transfer has waited for {oldest:.0f} s")


def _needs_of_deadlines(
    seen: Observation, policy: ScalingPolicy, waiting: int, rate: float, jobs: int
) -> Iterator[Need]:
    """Enough for the work before each deadline to be done by then; a worker that starts now begins later. A deadline
    that has passed asks for nothing: no worker makes it any more."""
    sample = sorted(
        (each for each in seen.oldest_waiting or () if each.deadline and each.deadline > seen.at),
        key=lambda each: each.deadline or seen.at,
    )
    stand_for = max(1.0, waiting / len(seen.oldest_waiting or (None,)))
    most, due, seconds = 0, None, 0.0
    for each in sample:
        assert each.deadline is not None  # noqa: S101 - for the type checker; filtered above
        alone = _size(each, policy) / rate + policy.transfer_overhead_seconds
        seconds += alone * stand_for
        left = (each.deadline - seen.at).total_seconds() - policy.startup_seconds
        workers = math.ceil(seconds / max(left, alone)) if left > 0 else jobs
        if workers > most:
            most, due = workers, each.deadline
    if due is not None:
        yield Need(min(jobs, most), "deadline", f"what is due by {due.isoformat(timespec='seconds')} needs {most}")


def _needs_of_load(seen: Observation, policy: ScalingPolicy) -> Iterator[Need]:
    minutes = list(seen.cpu_percent or ())[-policy.cpu_minutes :]
    if seen.running and len(minutes) == policy.cpu_minutes and min(minutes) > policy.cpu_percent:
        mean = sum(minutes) / len(minutes)
        more = max(seen.running + 1, math.ceil(seen.running * mean / policy.cpu_percent))
        yield Need(
            more, "cpu", f"CPU was over {policy.cpu_percent:.0f} % for {policy.cpu_minutes} minutes ({mean:.0f} %)"
        )
    used = (seen.bytes_per_second or 0.0) / policy.network_bytes_per_second
    if seen.running and used >= policy.network_share and seen.messages_waiting:
        yield Need(seen.running + 1, "network", f"a worker uses {100 * used:.0f} % of its network, and messages wait")


def _size(each: WaitingTransfer, policy: ScalingPolicy) -> int:
    return policy.assumed_size_bytes if each.size_bytes is None else each.size_bytes
