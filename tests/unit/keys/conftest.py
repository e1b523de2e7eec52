"""Participants to ask about: made of real keys, in any state."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pqtransfer.crypto.identity import generate_identity
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    KeyVersion,
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    make_key_versions,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def register() -> Callable[..., RegisteredParticipant]:
    """Make an external participant with one pair of keys for each state, in that order."""

    def make(name: str = "site-a", *states: KeyState, suite_id: str = "PQT-1") -> RegisteredParticipant:
        keys: list[KeyVersion] = []
        for version, state in enumerate(states or (KeyState.ACTIVE,), start=1):
            identity = generate_identity(name, suite_id=suite_id).to_public()
            started = KeyState.PENDING if state is KeyState.PENDING else KeyState.ACTIVE
            pair = make_key_versions(identity, version=version, state=started, created_at=NOW)
            keys.extend(key.model_copy(update={"state": state}) for key in pair)
        participant = Participant(name=name, kind=ParticipantKind.EXTERNAL, created_at=NOW)
        return RegisteredParticipant(participant=participant, keys=tuple(keys))

    return make
