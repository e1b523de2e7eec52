"""The life of a key version: which steps there are, and what each state allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.keys.lifecycle import (
    LEGAL_TRANSITIONS,
    IllegalTransitionError,
    KeyState,
    may_open,
    may_protect,
    may_verify,
    require_transition,
)

PENDING, ACTIVE, RETIRING, RETIRED, DESTROYED, REVOKED = KeyState
STATES = st.sampled_from(KeyState)
LIFE = [PENDING, ACTIVE, RETIRING, RETIRED, DESTROYED]


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        (PENDING, ACTIVE),
        (ACTIVE, RETIRING),
        (RETIRING, RETIRED),
        (RETIRED, DESTROYED),
        (PENDING, REVOKED),
        (ACTIVE, REVOKED),
        (RETIRING, REVOKED),
        (RETIRED, REVOKED),
        (DESTROYED, REVOKED),
    ],
)
def test_the_steps_that_there_are(current: KeyState, wanted: KeyState) -> None:
    """One step at a time along the life, or out of any state by revocation."""
    assert require_transition(current, wanted) is wanted


@given(STATES, STATES)
def test_there_are_no_other_steps(current: KeyState, wanted: KeyState) -> None:
    """Nothing is skipped, nothing goes back, nothing stays: everything outside of the table is refused."""
    follows = current in LIFE and wanted in LIFE and LIFE.index(wanted) == LIFE.index(current) + 1
    revokes = current is not REVOKED and wanted is REVOKED
    if follows or revokes:
        assert require_transition(current, wanted) is wanted
    else:
        with pytest.raises(IllegalTransitionError, match=f"{current} cannot become {wanted}"):
            require_transition(current, wanted)


@given(st.lists(STATES, max_size=12))
def test_a_revoked_key_never_comes_back(wishes: list[KeyState]) -> None:
    """Whatever is tried in whatever order, a key that was revoked stays revoked and can do nothing."""
    state, was_revoked = PENDING, False
    for wanted in wishes:
        try:
            state = require_transition(state, wanted)
        except IllegalTransitionError:
            continue
        was_revoked = was_revoked or state is REVOKED
    if was_revoked:
        assert state is REVOKED
        assert [may_protect(state), may_open(state), may_verify(state)] == [False] * 3


@given(st.lists(STATES, max_size=12))
def test_every_life_ends(wishes: list[KeyState]) -> None:
    """No sequence of steps visits a state twice."""
    seen = [PENDING]
    for wanted in wishes:
        try:
            seen.append(require_transition(seen[-1], wanted))
        except IllegalTransitionError:
            continue
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("state", "protects", "opens", "verifies"),
    [
        (PENDING, False, False, False),
        (ACTIVE, True, True, True),
        (RETIRING, False, True, True),
        (RETIRED, False, True, True),
        (DESTROYED, False, False, True),  # its signatures were good when they were made
        (REVOKED, False, False, False),
    ],
)
def test_what_each_state_allows(state: KeyState, protects: bool, opens: bool, verifies: bool) -> None:
    """New envelopes use ACTIVE keys only; RETIRING and RETIRED still open; REVOKED does nothing."""
    assert (may_protect(state), may_open(state), may_verify(state)) == (protects, opens, verifies)


def test_every_state_has_its_row() -> None:
    """The table says something about each state, so no lookup can miss."""
    assert set(LEGAL_TRANSITIONS) == set(KeyState)
