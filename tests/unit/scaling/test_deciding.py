"""How many workers there should be: cases that read as the promise, and what holds for every load."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.scaling.deciding import Decision, decide
from pqtransfer.scaling.observing import Observation, WaitingTransfer
from pqtransfer.scaling.policy import ContradictoryLimitsError, ScalingPolicy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GB = 1_000_000_000
POLICY = ScalingPolicy(minimum=1, maximum=10)
QUIET = (10.0,) * 6


def observe(**fields: Any) -> Observation:
    """A fleet of two idle workers with nothing to do, but for `fields`."""
    known: dict[str, Any] = {
        "at": NOW,
        "desired": 2,
        "running": 2,
        "pending": 0,
        "messages_waiting": 0,
        "messages_in_flight": 0,
        "oldest_waiting": (),
        "cpu_percent": QUIET,
        "bytes_per_second": 0.0,
    }
    return Observation(**{**known, **fields})


def waiting(count: int, *, gigabytes: float | None = 15, **fields: Any) -> tuple[WaitingTransfer, ...]:
    size = None if gigabytes is None else int(gigabytes * GB)
    return (WaitingTransfer(**{"submitted_at": NOW, "size_bytes": size, **fields}),) * count


def decided(seconds_ago: float, desired: int, *, needed: int = 1, **fields: Any) -> Decision:
    """An earlier decision."""
    at = NOW - timedelta(seconds=seconds_ago)
    known = {"found": desired, "reason": "bytes", "says": "earlier", "applied": True}
    return Decision(**{**known, "at": at, "desired": desired, "needed": needed, **fields})


@pytest.mark.requirement("D6.1", "D6.2", "D6.3", "D6.4", "D6.6")
@pytest.mark.parametrize(
    ("seen", "desired", "reason"),
    [
        # Nothing to do: the minimum. Work in hand: never less than that.
        (observe(), 1, "less"),
        (observe(desired=1, running=1), 1, "minimum"),
        (observe(desired=4, running=4, messages_in_flight=3), 3, "less"),
        (observe(desired=4, running=4, protected=4), 4, "busy"),
        # Bytes, not messages: 15 GB take a worker 155 s, and in 300 s all should be done.
        (observe(messages_waiting=2, oldest_waiting=waiting(2)), 2, "bytes"),
        (observe(messages_waiting=4, oldest_waiting=waiting(4)), 3, "bytes"),
        (observe(messages_waiting=12, oldest_waiting=waiting(12, gigabytes=0.001)), 1, "less"),
        (observe(messages_waiting=4, oldest_waiting=waiting(4, gigabytes=None)), 3, "bytes"),  # a size is assumed
        (observe(messages_waiting=4, oldest_waiting=()), 3, "bytes"),  # of messages that nobody recorded, too
        # More than the sample wait: it stands for all. Up to the limit, and not beyond.
        (observe(messages_waiting=16, oldest_waiting=waiting(4)), 9, "bytes"),
        (observe(messages_waiting=100_000, oldest_waiting=waiting(500)), 10, "bytes"),
        # Never more workers than there is work for.
        (observe(messages_waiting=1, oldest_waiting=waiting(1, gigabytes=5000)), 1, "less"),
        # The threshold of the queue, however small the files are.
        (observe(messages_waiting=81, oldest_waiting=waiting(81, gigabytes=0.001)), 5, "queue"),
        # Whoever is in a hurry is not left waiting.
        (observe(messages_waiting=4, oldest_waiting=waiting(4, priority=9)), 4, "bytes"),
        (observe(messages_waiting=4, oldest_waiting=waiting(4, deadline=NOW + timedelta(minutes=4))), 4, "deadline"),
        (observe(messages_waiting=4, oldest_waiting=waiting(4, deadline=NOW + timedelta(hours=4))), 3, "bytes"),
        (observe(messages_waiting=4, oldest_waiting=waiting(4, deadline=NOW - timedelta(hours=4))), 3, "bytes"),
        (
            observe(messages_waiting=9, oldest_waiting=waiting(9, gigabytes=1, submitted_at=NOW - timedelta(hours=1))),
            3,
            "age",
        ),
        # CPU over 70 % for five minutes, and not for four.
        (observe(cpu_percent=(10.0, 71.0, 71.0, 71.0, 71.0, 71.0)), 3, "cpu"),
        (observe(cpu_percent=(99.0,) * 6, desired=4, running=4), 6, "cpu"),
        (observe(cpu_percent=(99.0, 69.0, 99.0, 99.0, 99.0, 99.0), messages_in_flight=2), 2, "busy"),
        (observe(cpu_percent=(99.0, 99.0, 99.0, 99.0), messages_in_flight=2), 2, "busy"),
        # The network of the tasks is highly used, and more waits: another task has another network.
        (
            observe(bytes_per_second=500e6, messages_waiting=1, messages_in_flight=2, oldest_waiting=waiting(1)),
            3,
            "network",
        ),
        (observe(bytes_per_second=500e6, messages_in_flight=2), 2, "busy"),
    ],
)
def test_what_is_decided(seen: Observation, desired: int, reason: str) -> None:
    """One observation, the count, and the reason that is shown for it."""
    decision = decide(seen, POLICY)
    assert (decision.desired, decision.reason) == (desired, reason), decision.says


@pytest.mark.parametrize(("age", "reason"), [(None, "age"), (3600.0, "age"), (30.0, "bytes")])
def test_a_row_without_a_message_asks_for_nobody(age: float | None, reason: str) -> None:
    """What waits is no older than the oldest message, where that is known."""
    old = waiting(9, gigabytes=1, submitted_at=NOW - timedelta(hours=1))
    seen = observe(messages_waiting=9, oldest_waiting=old, oldest_message_seconds=age)
    assert (decide(seen, POLICY).reason == "age") == (reason == "age")


@pytest.mark.parametrize(
    "name", ["messages_waiting", "messages_in_flight", "oldest_waiting", "cpu_percent", "bytes_per_second"]
)
def test_nobody_is_let_go_on_missing_data(name: str) -> None:
    """It says what is missing, and still scales out on what it knows."""
    blind = decide(observe(**{name: None}), POLICY)
    assert (blind.desired, blind.reason) == (2, "missing")
    assert blind.missing
    if name != "messages_waiting":
        grown = decide(observe(**{"messages_waiting": 30, "oldest_waiting": waiting(30), name: None}), POLICY)
        assert grown.desired == 10


def test_a_fleet_without_workers_has_no_cpu_to_miss() -> None:
    """A minimum of 0 can be reached and left."""
    policy = ScalingPolicy(minimum=0, maximum=3)
    asleep = observe(desired=0, running=0, cpu_percent=None, bytes_per_second=None)
    assert decide(asleep, policy).desired == 0
    assert decide(replace(asleep, messages_waiting=1), policy).desired == 1


@pytest.mark.requirement("D6.6")
def test_less_is_wanted_only_after_less_was_needed_for_a_while() -> None:
    """A short lull between two bursts stops nobody."""
    busy = [decided(60, 8, needed=8), decided(120, 8, needed=8)]
    lull = decide(observe(desired=8, running=8), POLICY, recent=busy)
    assert (lull.desired, lull.reason) == (8, "settling")
    calm = [decided(60, 8, needed=2), decided(119, 8, needed=3), decided(180, 8, needed=8)]
    assert decide(observe(desired=8, running=8), POLICY, recent=calm).desired == 3


def test_what_was_added_for_cpu_stays_while_it_is_needed() -> None:
    """Four workers at 60 % would be three at 80 %: they stay four, and go when they have less to do."""
    added = [decided(300, 4, needed=4, reason="cpu")]
    seen = observe(desired=4, running=4, cpu_percent=(60.0,) * 6)
    assert decide(seen, POLICY, recent=added).desired == 4
    assert decide(replace(seen, cpu_percent=QUIET), POLICY, recent=added).desired == 1


def test_a_count_set_by_hand() -> None:
    """It is noticed, said, kept for half an hour within the limits, and corrected then."""
    ours = decided(60, 2)
    by_hand = decide(observe(desired=7, running=2), POLICY, recent=[ours])
    assert (by_hand.desired, by_hand.reason, by_hand.is_change, by_hand.is_news) == (7, "set-by-hand", False, True)
    kept = replace(by_hand, applied=True)
    later = observe(desired=7, running=7, at=NOW + timedelta(minutes=29))
    assert decide(later, POLICY, recent=[kept]).desired == 7
    assert decide(replace(later, at=NOW + timedelta(minutes=31)), POLICY, recent=[kept]).desired == 1
    too_many = decide(observe(desired=40, running=2), POLICY, recent=[ours])
    assert (too_many.desired, too_many.reason) == (10, "set-by-hand")
    too_few = decide(observe(desired=0, running=4, messages_in_flight=4), POLICY, recent=[ours])
    assert too_few.desired == 4  # what runs is not stopped, by hand neither


def test_a_decision_that_was_not_carried_out_is_nobodys_hand() -> None:
    """The function died between deciding and telling the service: the next run decides again."""
    lost = decided(60, 7, applied=False)
    assert decide(observe(), POLICY, recent=[lost]).reason != "set-by-hand"


def test_limits_that_were_lowered() -> None:
    """The fleet is over its limit: it comes down to it at once."""
    over = decide(observe(desired=15, running=15, messages_in_flight=15), POLICY, recent=[decided(60, 15, needed=15)])
    assert over.desired == 10


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"minimum": 5, "maximum": 4}, "minimum 5 is more than maximum 4"),
        ({"minimum": -1, "maximum": 4}, "minimum"),
        ({"minimum": 0, "maximum": 0}, "maximum"),
        ({"minimum": 1, "maximum": 4, "drain_seconds": 0}, "drain_seconds"),
        ({"minimum": 1, "maximum": 4, "worker_bytes_per_second": 2e9}, "through a network of 600000000"),
    ],
)
def test_limits_that_contradict_each_other(values: dict[str, Any], says: str) -> None:
    """They are refused when the policy is made; the message says which."""
    with pytest.raises(ContradictoryLimitsError, match=says):
        ScalingPolicy.create(**values)


transfers = st.builds(
    WaitingTransfer,
    submitted_at=st.integers(0, 7200).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    size_bytes=st.none() | st.integers(0, 40 * GB),
    deadline=st.none() | st.integers(-3600, 7200).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    priority=st.integers(0, 9),
)
unsure = st.none() | st.integers(0, 300)
observations = st.builds(
    Observation,
    at=st.just(NOW),
    desired=st.integers(0, 50),
    running=st.integers(0, 50),
    pending=st.integers(0, 10),
    messages_waiting=unsure,
    messages_in_flight=unsure,
    oldest_waiting=st.none() | st.lists(transfers, max_size=5).map(tuple),
    protected=st.none() | st.integers(0, 50),
    cpu_percent=st.none() | st.lists(st.floats(0, 100), max_size=8).map(tuple),
    bytes_per_second=st.none() | st.floats(0, 1e9),
)
decisions = st.lists(
    st.builds(
        decided,
        st.integers(1, 1200),
        st.integers(0, 60),
        needed=st.integers(0, 400),
        reason=st.sampled_from(["bytes", "cpu"]),
        applied=st.booleans(),
    ),
    max_size=4,
).map(lambda made: sorted(made, key=lambda each: each.at, reverse=True))
policies = st.tuples(st.integers(0, 20), st.integers(0, 30)).map(
    lambda drawn: ScalingPolicy(minimum=drawn[0], maximum=max(1, drawn[0] + drawn[1]))
)


@given(observations, policies, decisions)
def test_whatever_is_seen(seen: Observation, policy: ScalingPolicy, recent: list[Decision]) -> None:
    """Within the limits; never less than what works; never less than there is, where something is not known."""
    decision = decide(seen, policy, recent=recent)
    assert policy.minimum <= decision.desired <= policy.maximum
    assert decision.desired >= min(seen.busy, policy.maximum)
    if seen.missing:
        assert decision.desired >= min(seen.desired, policy.maximum)
    assert decision.says


@given(observations, policies, decisions, st.integers(0, 200), st.integers(0, 50), st.floats(0, 40))
def test_more_load_never_wants_fewer(
    seen: Observation, policy: ScalingPolicy, recent: list[Decision], messages: int, flying: int, cpu: float
) -> None:
    """Monotone in messages waiting, messages in flight, and CPU."""
    less = decide(seen, policy, recent=recent).desired
    more = replace(
        seen,
        messages_waiting=None if seen.messages_waiting is None else seen.messages_waiting + messages,
        messages_in_flight=None if seen.messages_in_flight is None else seen.messages_in_flight + flying,
        cpu_percent=None if seen.cpu_percent is None else tuple(min(100.0, each + cpu) for each in seen.cpu_percent),
    )
    assert decide(replace(more, messages_in_flight=seen.messages_in_flight), policy, recent=recent).desired >= less
    assert decide(more, policy, recent=recent).desired >= less


@given(observations, policies, st.booleans())
def test_a_constant_load_is_answered_by_a_constant_count(
    seen: Observation, policy: ScalingPolicy, swings: bool
) -> None:
    """The count rises to where it belongs, or settles, and stays there: minute by minute, for an hour and a half.

    The load is what the work makes of it: CPU is spread over whatever runs.
    """
    work = sum(seen.cpu_percent or ()) / max(1, len(seen.cpu_percent or ())) * seen.running
    recent: list[Decision] = []
    counts = []
    for minute in range(90):
        at = NOW + timedelta(minutes=minute)
        cpu = None if seen.cpu_percent is None else (min(100.0, work / max(1, seen.running)),) * 6
        seen = replace(seen, at=at, cpu_percent=cpu, oldest_waiting=_as_of(seen, at))
        decision = replace(decide(seen, policy, recent=recent[:20]), applied=True)
        recent.insert(0, decision)
        counts.append(decision.desired)
        seen = replace(seen, desired=decision.desired, running=decision.desired, pending=0)
    turns = sum(
        (second - first) * (third - second) < 0
        for first, second, third in zip(_steps(counts), _steps(counts)[1:], _steps(counts)[2:], strict=False)
    )
    assert turns <= 1, counts  # at most one change of direction: down after a start that was too high, or up
    assert len(set(counts[-20:])) == 1, counts


def _as_of(seen: Observation, at: datetime) -> tuple[WaitingTransfer, ...] | None:
    """The same queue, with transfers that have waited as long as those before them had."""
    if seen.oldest_waiting is None:
        return None
    passed = at - seen.at
    return tuple(
        replace(
            each,
            submitted_at=each.submitted_at + passed,
            deadline=None if each.deadline is None else each.deadline + passed,
        )
        for each in seen.oldest_waiting
    )


def _steps(counts: list[int]) -> list[int]:
    """The counts without repetitions."""
    return [count for index, count in enumerate(counts) if index == 0 or count != counts[index - 1]]
