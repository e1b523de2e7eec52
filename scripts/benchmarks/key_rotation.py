"""What the rotation of one key costs us: everything that the key service does itself, with its stores in memory.

Calls to AWS are left out: a registry, secrets and backups in dictionaries answer at once. What is left is making the
key, sealing it twice, testing it, proving the pair, the registry's own checks, and writing the audit events.
"""

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from functions.rotate_keys.rotating import KeyRotator
from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose, generate_private_key
from pqtransfer.keys.backups import KeyBackups
from pqtransfer.keys.events import KeyRotated
from pqtransfer.keys.in_memory import InMemoryBackups, InMemoryKeyRegistry, InMemorySealer, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import Participant, ParticipantKind, RegisteredParticipant, make_key_versions

ROTATIONS = 20
ROLE = "arn:aws:iam::123456789012:role/participants/bench"
NAME = "bench"


@dataclass(frozen=True)
class RotationTime:
    """Seconds that rotations of one kind of key took."""

    suite_id: str
    purpose: str
    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)


class _WrittenTrail:
    """Writes every event as it would go to the queue, and keeps none."""

    def __init__(self) -> None:
        self._count = 0

    def record(self, *facts: AuditFacts) -> None:
        for each in facts:
            self._count += 1
            said_by = {"producer": "bench/1", "sequence": self._count, "event_id": EVENT_ID, "time_ms": 1}
            AuditEvent.model_validate({**each.model_dump(), **said_by}).to_json()


class _WrittenEvents:
    """Writes every event as it would go to the bus."""

    def announce(self, rotated: KeyRotated) -> None:
        rotated.model_dump_json()


EVENT_ID = "0198c0de-0000-4000-8000-000000000001"


def measure_rotation() -> list[RotationTime]:
    """Rotations of each kind of key, one after the other; each keeps every older version in the registry."""
    return [
        RotationTime(suite_id, purpose.value, tuple(_time_rotations(suite_id, purpose)))
        for suite_id in ("PQT-1", "PQT-2")
        for purpose in KeyPurpose
    ]


def _time_rotations(suite_id: str, purpose: KeyPurpose) -> list[float]:
    rotator = _make_rotator(suite_id)
    seconds = []
    for number in range(ROTATIONS):
        active = rotator.registry.load(NAME).find_active_key(purpose)
        order = KeyOrder(
            action=KeyAction.ROTATE,
            participant=NAME,
            purpose=purpose,
            replaces=None if active is None else active.key_id,
            asked_by="bench",
            correlation_id=f"bench-{number}",
        )
        started = time.perf_counter()
        rotator.rotate(order)
        seconds.append(time.perf_counter() - started)
    return seconds


def _make_rotator(suite_id: str) -> KeyRotator:
    now = datetime.now(UTC)
    identity, vault = generate_identity(NAME, suite_id=suite_id), InMemoryVault()
    public = identity.to_public()
    secret_ids = (vault.name_secret(NAME, public.kem), vault.name_secret(NAME, public.signing))
    keys = make_key_versions(public, version=1, state=KeyState.ACTIVE, created_at=now, secret_ids=secret_ids)
    for key, private_key in zip(keys, (identity.kem, identity.signing), strict=True):
        vault.store(key, private_key, role_arn=ROLE)
    participant = Participant(name=NAME, kind=ParticipantKind.MANAGED, created_at=now, role_arn=ROLE)
    recovery_key = generate_private_key(KeyPurpose.KEM, "PQT-2").public_key
    return KeyRotator(
        registry=InMemoryKeyRegistry([RegisteredParticipant(participant=participant, keys=keys)]),
        vault=vault,
        reader=vault,
        backups=KeyBackups("bench", InMemoryBackups(), InMemorySealer(), recovery_key),
        announcer=_WrittenEvents(),
        trail=_WrittenTrail(),
        patience=timedelta(minutes=2),
        now=now,
    )
