"""What was read a moment ago is answered again; a moment later it is read anew."""

from datetime import UTC, datetime

from pqtransfer.crypto.identity import generate_identity
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    Revocation,
    make_key_versions,
)
from pqtransfer.protection.recent_registry import RecentRegistry

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_answers_are_at_most_a_moment_old() -> None:
    """A revocation is seen when the moment is over."""
    keys = make_key_versions(
        generate_identity("a", suite_id="PQT-1").to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW
    )
    participant = Participant(name="a", kind=ParticipantKind.EXTERNAL, created_at=NOW)
    registry = InMemoryKeyRegistry([RegisteredParticipant(participant=participant, keys=keys)])
    clock = [10.0]
    recent = RecentRegistry(registry, monotonic=lambda: clock[0], max_age_seconds=1.0)
    before = recent.load("a")
    registry.revoke(keys, Revocation(reason="lost", revoked_at=NOW, reported_by="soc"))
    clock[0] = 11.0
    assert recent.load("a") is before
    clock[0] = 11.1
    assert not recent.load("a").is_ready
    assert recent.list_all() == registry.list_all()
