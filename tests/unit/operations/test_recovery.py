"""The policy of recoveries: a limit, a cool-down, and an end."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.operations.recovery import (
    RECOVERIES,
    RECOVERY_LIMITS,
    Recovery,
    RecoveryKind,
    plan_recovery,
    prune_history,
)
from tests.unit.operations.alert_samples import NOW, after


def tried(kind: RecoveryKind, target: str, at: datetime) -> Recovery:
    return Recovery(kind=kind, target=target, started_at=at)


def test_a_task_is_replaced_once_and_then_it_is_for_people() -> None:
    """At first; not while it cools down; and when it is still so afterwards, the tries are used up."""
    wanted = [(RecoveryKind.REPLACE_TASK, "t")]
    first = plan_recovery(wanted, [], at=NOW, cause_is_gone=True)
    assert first.start == ((RecoveryKind.REPLACE_TASK, "t"),)
    history = [tried(RecoveryKind.REPLACE_TASK, "t", NOW)]
    cooling = plan_recovery(wanted, history, at=after(minutes=1), cause_is_gone=True)
    assert (cooling.start, cooling.exhausted, cooling.next_at) == ((), False, after(minutes=2))
    assert plan_recovery(wanted, history, at=after(minutes=3), cause_is_gone=True).exhausted


def test_a_whole_fleet_is_not_replaced() -> None:
    """When every task is ill, the tasks are not what is wrong."""
    wanted = [(RecoveryKind.REPLACE_TASK, f"t-{number}") for number in range(20)]
    plan = plan_recovery(wanted, [], at=NOW, cause_is_gone=True)
    assert len(plan.start) == RECOVERY_LIMITS[RecoveryKind.REPLACE_TASK].in_all
    assert plan.exhausted


def test_messages_wait_until_the_cause_is_gone() -> None:
    """It is looked at again, and not counted."""
    wanted = [(RecoveryKind.REDRIVE, "dead")]
    plan = plan_recovery(wanted, [], at=NOW, cause_is_gone=False)
    assert (plan.start, plan.exhausted, plan.next_at) == ((), False, after(minutes=2))


@pytest.mark.parametrize("kind", list(RecoveryKind))
def test_every_kind_has_limits_and_an_alert_that_it_is_for(kind: RecoveryKind) -> None:
    """None can go on for ever."""
    limit = RECOVERY_LIMITS[kind]
    assert limit.tries >= 1
    assert timedelta() < limit.cool_down <= limit.within
    assert kind in {each for each, _ in RECOVERIES.values()}


@settings(deadline=None, max_examples=100)
@given(
    kind=st.sampled_from(list(RecoveryKind)),
    waits=st.lists(st.integers(1, 3600), max_size=60),
    targets=st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)
def test_however_often_it_is_asked_limits_hold(kind: RecoveryKind, waits: list[int], targets: list[str]) -> None:
    """Within every window, of each target and of all together; and each try comes after its cool-down."""
    limit, at, history = RECOVERY_LIMITS[kind], NOW, list[Recovery]()
    for seconds in waits:
        at += timedelta(seconds=seconds)
        plan = plan_recovery([(kind, each) for each in targets], history, at=at, cause_is_gone=True)
        history = [*prune_history(history, at=at), *(tried(kind, target, at) for _, target in plan.start)]
        recent = [each for each in history if at - each.started_at < limit.within]
        assert len(recent) <= limit.in_all
        for target in targets:
            times = [each.started_at for each in recent if each.target == target]
            assert len(times) <= limit.tries
            assert all(later - earlier >= limit.cool_down for earlier, later in itertools.pairwise(times))
