"""The life of a key version, as a pure state machine.

    PENDING -> ACTIVE -> RETIRING -> RETIRED -> DESTROYED        and REVOKED from any of them, for good

A version is PENDING until its private half is safely stored. Only an ACTIVE one protects or signs anything new;
RETIRING and RETIRED ones still open what they protected. A registry enforces each step with a condition on the state
before it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from pqtransfer.errors import InputError


class KeyState(StrEnum):
    """Where a key version stands in its life."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    RETIRING = "RETIRING"
    RETIRED = "RETIRED"
    DESTROYED = "DESTROYED"
    REVOKED = "REVOKED"


LEGAL_TRANSITIONS: Mapping[KeyState, frozenset[KeyState]] = MappingProxyType(
    {
        KeyState.PENDING: frozenset({KeyState.ACTIVE, KeyState.REVOKED}),
        KeyState.ACTIVE: frozenset({KeyState.RETIRING, KeyState.REVOKED}),
        KeyState.RETIRING: frozenset({KeyState.RETIRED, KeyState.REVOKED}),
        KeyState.RETIRED: frozenset({KeyState.DESTROYED, KeyState.REVOKED}),
        KeyState.DESTROYED: frozenset({KeyState.REVOKED}),
        KeyState.REVOKED: frozenset(),
    }
)
PROTECTING_STATES = frozenset({KeyState.ACTIVE})
OPENING_STATES = frozenset({KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED})
VERIFYING_STATES = frozenset({KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED, KeyState.DESTROYED})


class IllegalTransitionError(InputError):
    """A key version cannot go from the state it is in to the one asked for."""

    def __init__(self, current: KeyState, wanted: KeyState) -> None:
        allowed = ", ".join(sorted(LEGAL_TRANSITIONS[current])) or "nothing: this state is final"
        super().__init__(f"a key that is {current} cannot become {wanted}; from {current} it may become {allowed}")


def require_transition(current: KeyState, wanted: KeyState) -> KeyState:
    """The state after the step.

    Raises:
        IllegalTransitionError: the step is not in the table. Staying is not a step.
    """
    if wanted not in LEGAL_TRANSITIONS[current]:
        raise IllegalTransitionError(current, wanted)
    return wanted


def may_protect(state: KeyState) -> bool:
    """True when new envelopes may be wrapped to the key, or new documents signed with it."""
    return state in PROTECTING_STATES


def may_open(state: KeyState) -> bool:
    """True when the key may still open envelopes that were wrapped to it."""
    return state in OPENING_STATES


def may_verify(state: KeyState) -> bool:
    """True when signatures made with the key still count. Destroying the private half does not undo what it signed."""
    return state in VERIFYING_STATES
