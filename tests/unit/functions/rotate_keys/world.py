"""Everything that outlives a run of the key service: registry, secrets, backups, what was recorded and told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.register_participant.audit import RegistrationFacts
from functions.register_participant.registration import Registrar
from functions.rotate_keys.rotating import KeyRotator
from functions.rotate_keys.settling import KeySettler
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.keys.backups import name_backup, restore_into_memory
from pqtransfer.keys.in_memory import (
    InMemoryBackups,
    InMemoryKeyRegistry,
    InMemoryRoles,
    InMemorySealer,
    InMemoryVault,
)
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.orders import KeyAction, KeyOrder
from pqtransfer.keys.participant import KeyVersion, ParticipantKind, RegisteredParticipant
from pqtransfer.keys.registration import RegisterParticipant
from pqtransfer.keys.rotation import RotationPolicy
from tests.fakes.backups import make_backups
from tests.fakes.key_service import InMemoryAnnouncer, InMemoryDependents
from tests.fakes.trails import InMemoryAuditTrail

REGISTERED_AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 4, 2, 12, 0, tzinfo=UTC)
PATIENCE = timedelta(minutes=2)
POLICY = RotationPolicy()
NAME = "site-m"
WRITES = frozenset(
    {
        "add_versions", "activate", "give_up", "revoke", "change_state", "forget_secrets",
        "store", "discard", "create", "remove", "record", "announce",
    }
)  # fmt: skip

Wrap = Callable[[Any], Any]


@dataclass
class World:
    """One environment with one managed participant."""

    registry: InMemoryKeyRegistry = field(default_factory=InMemoryKeyRegistry)
    vault: InMemoryVault = field(default_factory=InMemoryVault)
    backups: InMemoryBackups = field(default_factory=InMemoryBackups)
    sealer: InMemorySealer = field(default_factory=InMemorySealer)
    announcer: InMemoryAnnouncer = field(default_factory=InMemoryAnnouncer)
    dependents: InMemoryDependents = field(default_factory=InMemoryDependents)
    trail: InMemoryAuditTrail = field(default_factory=InMemoryAuditTrail)

    def register(self, name: str = NAME, *, kind: ParticipantKind = ParticipantKind.MANAGED, **fields: Any) -> None:
        facts = RegistrationFacts(name, None, "registration")
        self.registrar(facts).register(RegisterParticipant(name=name, kind=kind, **fields))

    def registrar(self, facts: RegistrationFacts) -> Registrar:
        return Registrar(
            registry=self.registry,
            roles=InMemoryRoles(),
            vault=self.vault,
            backups=make_backups(self.backups, sealer=self.sealer),
            trail=InMemoryAuditTrail(),
            facts=facts,
            minimum_suite_id="PQT-1",
            now=REGISTERED_AT,
        )

    def rotator(self, *, now: datetime = NOW, wrap: Wrap = lambda port: port) -> KeyRotator:
        return KeyRotator(
            registry=wrap(self.registry),
            vault=wrap(self.vault),
            reader=self.vault,
            backups=make_backups(wrap(self.backups), sealer=self.sealer),
            announcer=wrap(self.announcer),
            trail=wrap(self.trail),
            patience=PATIENCE,
            now=now,
        )

    def settler(self, *, now: datetime = NOW, wrap: Wrap = lambda port: port) -> KeySettler:
        return KeySettler(
            registry=wrap(self.registry),
            vault=wrap(self.vault),
            backups=wrap(self.backups),
            dependents=self.dependents,
            announcer=wrap(self.announcer),
            trail=wrap(self.trail),
            policy=POLICY,
            patience=PATIENCE,
            now=now,
        )

    def require_recorded(self) -> None:
        """Every step that a key took after its registration is on record."""
        steps = {(facts.action, facts.key_id) for facts in self.trail.facts if facts.succeeded}
        for key in self.registered.keys:
            gone = key.state is KeyState.REVOKED and key.activated_at is None
            taken = {
                "key.create": key.version > 1,
                "key.backup": key.version > 1 and key.activated_at is not None,
                "key.activate": key.version > 1 and key.activated_at is not None,
                "key.rotate": key.version > 1 and key.activated_at is not None,
                "key.retire": key.state in (KeyState.RETIRING, KeyState.RETIRED, KeyState.DESTROYED),
                "key.destroy": key.state is KeyState.DESTROYED,
                "key.revoke": gone,
            }
            missing = [action for action, is_taken in taken.items() if is_taken and (action, key.key_id) not in steps]
            assert not missing, f"{missing} of the {key.purpose} key, version {key.version}, {key.state}"

    @property
    def registered(self) -> RegisteredParticipant:
        return self.registry.load(NAME)

    def active(self, purpose: KeyPurpose) -> KeyVersion:
        key = self.registered.find_active_key(purpose)
        assert key is not None
        return key

    def order(self, purpose: KeyPurpose) -> KeyOrder:
        """The order to rotate the key that is ACTIVE now."""
        return order(purpose, replaces=self.active(purpose).key_id)

    def require_whole(self) -> None:
        """One ACTIVE key of each purpose, proven as a pair; every key that may be needed is stored and backed up.

        No secret without a key that names it, no key without its secret.
        """
        registered = self.registered
        for purpose in KeyPurpose:
            active = [key for key in registered.keys if key.purpose is purpose and key.state is KeyState.ACTIVE]
            assert len(active) == 1
        identity = registered.to_identity()
        assert identity is not None
        identity.require_valid()
        kept = [key for key in registered.keys if key.secret_id is not None]
        assert set(self.vault.secrets) == {key.secret_id for key in kept}
        assert set(self.backups.documents) == {name_backup(key) for key in kept}
        role_arn = registered.participant.role_arn or ""
        for key in kept:
            stored = self.vault.read(key, role_arn=role_arn, session_name="test")
            restored = restore_into_memory(key, environment="dev", store=self.backups, sealer=self.sealer)
            assert stored.to_json() == restored.to_json()
        assert not registered.pending_keys


def order(purpose: KeyPurpose, **named: str | None) -> KeyOrder:
    """An order of a test."""
    return KeyOrder(
        action=KeyAction.ROTATE,
        participant=NAME,
        purpose=purpose,
        asked_by="test",
        correlation_id="test-1",
        **named,  # type: ignore[arg-type]
    )


def settle_order() -> KeyOrder:
    """An order to let old keys go."""
    return KeyOrder(action=KeyAction.SETTLE, participant=NAME, asked_by="test", correlation_id="test-2")
