"""When a key takes the next step of its life: the policy, and what is due by it. Pure: the time is passed in.

A clock that runs backwards makes nothing due: what was written down then lies in the future, and waits. Steps are
written down with a time that is never before one that is written down already (`not_before`), so that no later period
seems to have begun earlier than it did.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant

MOST_DAYS = 3650
TELL_WITHIN = timedelta(hours=2)
"""How long after its participant replaced it a key is looked for, to tell the others: two searches for what is due.
Whoever missed it is told again when the key is retired."""


class RotationPolicy(BaseModel):
    """How long keys live. After its rotation a key is RETIRING, then RETIRED, then DESTROYED if nothing needs it.

    A key that was revoked while it was in use stays REVOKED; its private half goes after as many days as that of one
    that is RETIRED: until then, and as long as an envelope needs it, whoever answers its loss opens what it protected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kem_days: int = Field(default=90, ge=1, le=MOST_DAYS)
    signing_days: int = Field(default=90, ge=1, le=MOST_DAYS)
    retiring_days: int = Field(default=7, ge=1, le=MOST_DAYS)
    retired_days: int = Field(default=30, ge=1, le=MOST_DAYS)

    def life_of(self, purpose: KeyPurpose) -> timedelta:
        """How long a key of this purpose is ACTIVE."""
        return timedelta(days=self.kem_days if purpose is KeyPurpose.KEM else self.signing_days)


class DueStep(StrEnum):
    """What is to be done with a key."""

    ROTATE = "rotate"
    REMIND = "remind"
    TELL = "tell"
    RETIRE = "retire"
    DESTROY = "destroy"
    DISCARD = "discard"


@dataclass(frozen=True)
class KeySummary:
    """What the policy must know of a key version, without the key itself."""

    participant: str
    purpose: KeyPurpose
    key_id: str
    state: KeyState
    created_at: datetime
    activated_at: datetime | None
    state_changed_at: datetime | None
    secret_id: str | None

    @classmethod
    def of(cls, key: KeyVersion) -> "KeySummary":
        return cls(
            participant=key.participant,
            purpose=key.purpose,
            key_id=key.key_id,
            state=key.state,
            created_at=key.created_at,
            activated_at=key.activated_at,
            state_changed_at=key.state_changed_at,
            secret_id=key.secret_id,
        )

    @property
    def in_state_since(self) -> datetime:
        """When it came to its state. For keys of before that was written down: the latest time that is known."""
        return self.state_changed_at or self.activated_at or self.created_at


@dataclass(frozen=True)
class KeyPage:
    """Some of the keys of a registry. `next_cursor` asks for those after them; None: there are none."""

    keys: tuple[KeySummary, ...]
    next_cursor: str | None


class KeyCatalogue(Protocol):
    """All keys of a registry, page by page, so that no number of participants has to fit into memory."""

    def list_keys(self, *, cursor: str | None = None) -> KeyPage:
        """One page of key versions, in no particular order, perhaps some seconds old.

        Raises:
            InvalidCursorError: the cursor is none of this registry.
        """


def find_due_step(key: KeySummary, *, policy: RotationPolicy, patience: timedelta, now: datetime) -> DueStep | None:
    """The step that is due for this key; None when it can stay as it is.

    Args:
        patience: how long a rotation may take before another run may finish it.
    """
    managed = key.secret_id is not None
    age = now - key.in_state_since
    match key.state:
        case KeyState.PENDING if managed and abs(now - key.created_at) >= patience:
            return DueStep.ROTATE
        case KeyState.ACTIVE if now - (key.activated_at or key.created_at) >= policy.life_of(key.purpose):
            return DueStep.ROTATE if managed else DueStep.REMIND
        case KeyState.RETIRING if age >= timedelta(days=policy.retiring_days):
            return DueStep.RETIRE
        case KeyState.RETIRING if not managed and timedelta(0) <= age < TELL_WITHIN:
            return DueStep.TELL
        case KeyState.RETIRED if managed and age >= timedelta(days=policy.retired_days):
            return DueStep.DESTROY
        case KeyState.RETIRED if is_told_again(key, now=now):
            return DueStep.TELL
        case KeyState.DESTROYED if managed:
            return DueStep.DISCARD
        case KeyState.REVOKED if managed and key.activated_at is None:
            return DueStep.DISCARD
        case KeyState.REVOKED if managed and age >= timedelta(days=policy.retired_days):
            return DueStep.DESTROY
        case _:
            return None


def is_told_again(key: KeySummary, *, now: datetime) -> bool:
    """Whether the others are told once more of a key that is RETIRED: once a day, for about two searches.

    Envelopes may still be under it whose turn was lost: whoever moves them begins anew when told.
    """
    age = now - key.in_state_since
    return age >= timedelta(days=1) and age % timedelta(days=1) < TELL_WITHIN


def find_due_keys(
    registered: RegisteredParticipant, step: DueStep, *, policy: RotationPolicy, patience: timedelta, now: datetime
) -> list[KeyVersion]:
    """The participant's keys for which this step is due."""
    return [
        key
        for key in registered.keys
        if find_due_step(KeySummary.of(key), policy=policy, patience=patience, now=now) is step
    ]


def find_replaced(registered: RegisteredParticipant, key: KeyVersion) -> KeyVersion | None:
    """The key that `key` took the place of, if it may still open something."""
    before = [
        other
        for other in registered.keys
        if other.purpose is key.purpose
        and other.version < key.version
        and other.state in (KeyState.RETIRING, KeyState.RETIRED)
    ]
    return max(before, key=lambda other: other.version, default=None)


def not_before(now: datetime, keys: Iterable[KeyVersion]) -> datetime:
    """`now`, or the latest time that is written down for these keys, if the clock stands before it."""
    known = (time for key in keys for time in (key.created_at, key.activated_at, key.state_changed_at))
    return max([now, *(time for time in known if time is not None)])
