"""What is due by the policy, whatever the clock says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.rotation import DueStep, KeySummary, RotationPolicy, find_due_step

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = RotationPolicy(kem_days=90, signing_days=60, retiring_days=7, retired_days=30)
PATIENCE = timedelta(minutes=2)
PENDING, ACTIVE, RETIRING, RETIRED, DESTROYED, REVOKED = KeyState
KEM, SIGNING = KeyPurpose


def summary(state: KeyState, *, age: timedelta, purpose: KeyPurpose = KEM, managed: bool = True) -> KeySummary:
    """A key that has been in its state for `age` by now."""
    since = NOW - age
    return KeySummary(
        participant="site-a",
        purpose=purpose,
        key_id="0" * 64,
        state=state,
        created_at=since,
        activated_at=None if state is PENDING else since,
        state_changed_at=since,
        secret_id="p/0" if managed else None,
    )


def days(count: float) -> timedelta:
    return timedelta(days=count)


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize(
    ("key", "step"),
    [
        (summary(ACTIVE, age=days(89.9)), None),
        (summary(ACTIVE, age=days(90)), DueStep.ROTATE),
        (summary(ACTIVE, age=days(60), purpose=SIGNING), DueStep.ROTATE),  # KEM and signing keys apart
        (summary(ACTIVE, age=days(59), purpose=SIGNING), None),
        (summary(ACTIVE, age=days(90), managed=False), DueStep.REMIND),
        (summary(PENDING, age=timedelta(minutes=1)), None),  # the run that made it may be alive
        (summary(PENDING, age=timedelta(minutes=2)), DueStep.ROTATE),
        (summary(PENDING, age=days(9), managed=False), None),
        (summary(RETIRING, age=days(6.9)), None),
        (summary(RETIRING, age=timedelta(hours=1)), None),
        (summary(RETIRING, age=timedelta(hours=1), managed=False), DueStep.TELL),
        (summary(RETIRING, age=timedelta(hours=2), managed=False), None),
        (summary(RETIRING, age=days(7)), DueStep.RETIRE),
        (summary(RETIRING, age=days(7), managed=False), DueStep.RETIRE),
        (summary(RETIRED, age=days(0.05)), None),  # told already when it was retired
        (summary(RETIRED, age=days(1)), DueStep.TELL),  # once a day
        (summary(RETIRED, age=days(29.9)), None),
        (summary(RETIRED, age=days(30)), DueStep.DESTROY),
        (summary(RETIRED, age=days(999.5), managed=False), None),  # what we do not hold, we do not destroy
        (summary(RETIRED, age=days(999), managed=False), DueStep.TELL),
        (summary(DESTROYED, age=days(0)), DueStep.DISCARD),
        (summary(DESTROYED, age=days(9), managed=False), None),
        (summary(REVOKED, age=days(29)), None),  # it was in use: whoever answers the compromise may need it
        (summary(REVOKED, age=days(30)), DueStep.DESTROY),
        (replace(summary(REVOKED, age=days(0)), activated_at=None), DueStep.DISCARD),
        (replace(summary(ACTIVE, age=days(90)), state_changed_at=None), DueStep.ROTATE),  # of before it was written
        (replace(summary(RETIRED, age=days(30)), state_changed_at=None), DueStep.DESTROY),
    ],
)
def test_what_is_due(key: KeySummary, step: DueStep | None) -> None:
    """Each state waits its own time."""
    assert find_due_step(key, policy=POLICY, patience=PATIENCE, now=NOW) is step


@given(state=st.sampled_from([ACTIVE, RETIRING, RETIRED]), behind=st.timedeltas(timedelta(seconds=1), days(4000)))
def test_a_clock_that_runs_backwards_makes_nothing_due(state: KeyState, behind: timedelta) -> None:
    """However far behind what is written down it stands: no rotation, no destruction."""
    for managed in (True, False):
        key = summary(state, age=-behind, managed=managed)
        assert find_due_step(key, policy=POLICY, patience=PATIENCE, now=NOW) is None


def test_a_pending_key_from_the_future_is_not_waited_for() -> None:
    """No run that is alive can have made it; it never was in use, so nothing is lost with it."""
    key = summary(PENDING, age=-days(400))
    assert find_due_step(key, policy=POLICY, patience=PATIENCE, now=NOW) is DueStep.ROTATE


@pytest.mark.parametrize("field", RotationPolicy.model_fields)
@pytest.mark.parametrize("value", [0, -1, 3651])
def test_a_policy_that_cannot_be(field: str, value: int) -> None:
    """No key lives for no time, or for ever."""
    with pytest.raises(ValidationError):
        RotationPolicy.model_validate({field: value})
