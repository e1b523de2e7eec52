"""A participant is what its facts allow, and nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.lifecycle import IllegalTransitionError, KeyState
from pqtransfer.keys.participant import KeyVersion, Participant, ParticipantKind, RegisteredParticipant, Revocation

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/pqtransfer/dev/participants/pqtransfer-dev-participant-site-a"
Register = Callable[..., RegisteredParticipant]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Site-A", "kind": "external"},
        {"name": "-a", "kind": "external"},
        {"name": "", "kind": "external"},
        {"name": "a" * 49, "kind": "external"},
        {"name": "a/b", "kind": "external"},
        {"name": "site-a", "kind": "managed"},  # no role
        {"name": "site-a", "kind": "external", "role_arn": ROLE},
        {"name": "site-a", "kind": "external", "principals": ("arn:aws:iam::123456789012:root",)},
        {"name": "site-a", "kind": "external", "buckets": ("our-models",)},
        {"name": "site-a", "kind": "managed", "role_arn": ROLE, "buckets": ("our-models", "our-models")},
        {"name": "site-a", "kind": "managed", "role_arn": ROLE, "buckets": ("*",)},
        {"name": "site-a", "kind": "managed", "role_arn": ROLE, "buckets": tuple(f"bucket-{i}" for i in range(21))},
        {"name": "site-a", "kind": "somebody"},
        {"name": "site-a", "kind": "external", "created_at": datetime(2026, 3, 1)},  # noqa: DTZ001 - no time zone
        {"name": "site-a", "kind": "external", "colour": "red"},
    ],
)
def test_what_is_not_a_participant(fields: dict[str, object]) -> None:
    """A name that is not allowed, a kind without what it needs or with what it cannot have, an unknown field."""
    with pytest.raises(ValidationError):
        Participant.model_validate({"created_at": NOW, **fields})


def test_a_managed_participant_has_a_role() -> None:
    """The role is where its private keys can be read from."""
    participant = Participant(name="site-a", kind=ParticipantKind.MANAGED, created_at=NOW, role_arn=ROLE)
    assert participant.role_arn == ROLE


def test_a_managed_participant_has_buckets() -> None:
    """Those that workers may use in its name: none, unless they are named."""
    participant = Participant(name="site-a", kind=ParticipantKind.MANAGED, created_at=NOW, role_arn=ROLE)
    assert participant.buckets == ()
    named = tuple(f"bucket-{number}" for number in range(20))
    assert Participant.model_validate({**participant.model_dump(), "buckets": named}).buckets == named


def test_the_newest_active_key_is_used(register: Register) -> None:
    """Of several versions only an ACTIVE one is handed out, the newest first."""
    registered = register("site-a", KeyState.RETIRED, KeyState.ACTIVE, KeyState.ACTIVE, KeyState.PENDING)
    for purpose in KeyPurpose:
        key = registered.find_active_key(purpose)
        assert key is not None
        assert (key.version, key.purpose) == (3, purpose)


@pytest.mark.parametrize(
    ("states", "ready", "was_ready"),
    [
        ((KeyState.PENDING,), False, False),
        ((KeyState.ACTIVE,), True, True),
        ((KeyState.RETIRED,), False, True),
        ((KeyState.REVOKED,), False, True),  # revoked after use
        ((KeyState.RETIRED, KeyState.PENDING), False, True),
    ],
)
def test_ready(register: Register, states: tuple[KeyState, ...], ready: bool, was_ready: bool) -> None:
    """Ready means that transfers can use it now; was ready means that something may depend on it."""
    registered = register("site-a", *states)
    assert (registered.is_ready, registered.was_ready) == (ready, was_ready)
    assert (registered.to_identity() is not None) == ready


def test_no_key_has_a_revocation_before_it_is_revoked(register: Register) -> None:
    """And one that has it keeps when, why, since when, and who said so."""
    key = register().keys[0]
    revocation = Revocation(reason="lost laptop", revoked_at=NOW, compromised_at=NOW, reported_by="alice")
    with pytest.raises(ValidationError, match="REVOKED"):
        KeyVersion.model_validate({**key.model_dump(), "revocation": revocation})
    revoked = key.revoke(revocation)
    assert (revoked.state, revoked.revocation, revoked.state_changed_at) == (KeyState.REVOKED, revocation, NOW)
    with pytest.raises(IllegalTransitionError):
        revoked.revoke(revocation)


def test_the_identity_proves_itself(register: Register) -> None:
    """The public identity that a registration gives out passes its own check."""
    identity = register().to_identity()
    assert identity is not None
    identity.require_valid()


def test_a_key_is_activated_once(register: Register) -> None:
    """The time of activation is written at the step to ACTIVE, and kept after it."""
    key = register("site-a", KeyState.PENDING).keys[0]
    active = key.move_to(KeyState.ACTIVE, at=NOW + timedelta(days=1))
    retiring = active.move_to(KeyState.RETIRING, at=NOW + timedelta(days=2))
    assert active.activated_at == retiring.activated_at == NOW + timedelta(days=1)
    with pytest.raises(IllegalTransitionError):
        retiring.move_to(KeyState.ACTIVE, at=NOW)


def test_keys_given_up_before_use_are_told_from_revoked_ones(register: Register) -> None:
    """Only a key that never was active is nobody's loss."""
    pending, used = register("site-a", KeyState.PENDING), register("site-a", KeyState.REVOKED)
    given_up = tuple(key.move_to(KeyState.REVOKED, at=NOW) for key in pending.keys)
    assert pending.model_copy(update={"keys": given_up}).given_up_keys == given_up
    assert used.given_up_keys == ()


def test_no_key_of_somebody_else(register: Register) -> None:
    """A participant's keys are its own, each once."""
    mine, theirs = register("site-a"), register("site-b")
    with pytest.raises(ValidationError, match="another participant"):
        RegisteredParticipant(participant=mine.participant, keys=mine.keys + theirs.keys)
    with pytest.raises(ValidationError, match="twice"):
        RegisteredParticipant(participant=mine.participant, keys=mine.keys + mine.keys)
