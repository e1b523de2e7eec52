"""External participants get new keys on the word of those in use; nothing that was said before counts again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from functions.register_participant.audit import RegistrationFacts
from functions.register_participant.registration import Registrar
from functions.register_participant.succeeding import KeySuccessor, SpentSuccessionError
from pqtransfer.crypto.identity import InvalidProofError, PrivateIdentity, generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose
from pqtransfer.crypto.succession import Succession, sign_succession
from pqtransfer.crypto.suites import WeakSuiteError
from pqtransfer.errors import AccessError
from pqtransfer.keys.in_memory import InMemoryBackups, InMemoryKeyRegistry, InMemoryRoles, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    Revocation,
    make_key_versions,
)
from pqtransfer.keys.registration import RegisterParticipant
from pqtransfer.keys.registry import ParticipantExistsError, ParticipantUnknownError
from tests.fakes.backups import make_backups
from tests.fakes.crashes import CrashError, CrashingPort
from tests.fakes.trails import InMemoryAuditTrail

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
WRITES = frozenset({"add_versions", "activate"})
FIRST, SECOND, THIRD = (generate_identity("site-x", suite_id="PQT-1") for _ in range(3))


@pytest.fixture
def registry() -> InMemoryKeyRegistry:
    keys = make_key_versions(FIRST.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW)
    participant = Participant(name="site-x", kind=ParticipantKind.EXTERNAL, created_at=NOW)
    return InMemoryKeyRegistry([RegisteredParticipant(participant=participant, keys=keys)])


def successor(registry: Any, *, trail: Any = None, minimum_suite_id: str = "PQT-1") -> KeySuccessor:
    facts = RegistrationFacts(name="site-x", requested_by="test", correlation_id="test-1")
    return KeySuccessor(registry, trail or InMemoryAuditTrail(), facts, minimum_suite_id, NOW)


def follow(old: PrivateIdentity, new: PrivateIdentity) -> Succession:
    return sign_succession(old, new.to_public())


def test_new_keys_take_the_place_of_those_in_use(registry: InMemoryKeyRegistry) -> None:
    """Both in one step; the old ones still open and verify; what comes to be is recorded."""
    trail = InMemoryAuditTrail()
    registered = successor(registry, trail=trail).succeed("site-x", follow(FIRST, SECOND))
    assert registered.to_identity() is not None
    assert {key.key_id for key in registered.keys if key.state is KeyState.ACTIVE} == {
        SECOND.kem.public_key.key_id,
        SECOND.signing.public_key.key_id,
    }
    assert {key.state for key in registered.keys if key.version == 1} == {KeyState.RETIRING}
    assert (trail.actions["key.create"], trail.actions["key.activate"]) == (2, 2)
    assert successor(registry).succeed("site-x", follow(FIRST, SECOND)) == registered


def test_what_was_said_before_does_not_count_again(registry: InMemoryKeyRegistry) -> None:
    """A replayed succession brings no old key back, and a key that was registered once is not registered again."""
    successor(registry).succeed("site-x", follow(FIRST, SECOND))
    successor(registry).succeed("site-x", follow(SECOND, THIRD))
    now = registry.load("site-x")
    for replayed in (follow(FIRST, SECOND), follow(SECOND, FIRST), follow(THIRD, FIRST), follow(THIRD, SECOND)):
        with pytest.raises(SpentSuccessionError) as caught:
            successor(registry).succeed("site-x", replayed)
        assert isinstance(caught.value, AccessError)
    assert registry.load("site-x") == now


def test_nobody_follows_a_key_that_was_revoked(registry: InMemoryKeyRegistry) -> None:
    """Whoever stole the signing key could name their own successor: a revoked key's word counts for nothing."""
    registry.revoke(registry.load("site-x").keys, Revocation(reason="stolen", revoked_at=NOW, reported_by="alice"))
    with pytest.raises(SpentSuccessionError):
        successor(registry).succeed("site-x", follow(FIRST, SECOND))


def test_what_is_not_signed_by_the_key_in_use(registry: InMemoryKeyRegistry) -> None:
    """A stranger who knows the ids of the keys in use has no signature of theirs."""
    forged = follow(THIRD, SECOND).model_copy(
        update={
            "replaces_kem": FIRST.kem.public_key.key_id,
            "replaces_signing": FIRST.signing.public_key.key_id,
        }
    )
    with pytest.raises(InvalidProofError):
        successor(registry).succeed("site-x", forged)
    assert registry.load("site-x").newest_version(FIRST.kem.purpose) == 1


def test_whose_keys_are_not_replaced_so(registry: InMemoryKeyRegistry) -> None:
    """An unknown name, somebody else's, keys under the environment's minimum."""
    with pytest.raises(ParticipantUnknownError):
        successor(registry).succeed("nobody", follow(FIRST, SECOND))
    other, another = (generate_identity("site-y", suite_id="PQT-1") for _ in range(2))
    with pytest.raises(ParticipantExistsError):
        successor(registry).succeed("site-x", follow(other, another))
    with pytest.raises(WeakSuiteError):
        successor(registry, minimum_suite_id="PQT-2").succeed("site-x", follow(FIRST, SECOND))


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", [1, 2])
def test_killed_between_the_steps(registry: InMemoryKeyRegistry, at_write: int, after_effect: bool) -> None:
    """The same call again finishes: never two pairs, never half of one."""
    crashing: Any = CrashingPort(registry, [at_write], after_effect=after_effect, writes=WRITES)
    with pytest.raises(CrashError):
        successor(crashing).succeed("site-x", follow(FIRST, SECOND))
    assert registry.load("site-x").is_ready
    registered = successor(registry).succeed("site-x", follow(FIRST, SECOND))
    assert sum(key.state is KeyState.ACTIVE for key in registered.keys) == 2
    assert len(registered.keys) == 4


class TestAfterACompromise:
    """Keys were revoked: nothing in use can vouch for new ones, and an operator registers them as the first were."""

    @pytest.fixture(params=[(KeyPurpose.KEM,), (KeyPurpose.SIGNING,), tuple(KeyPurpose)])
    def purposes(self, request: pytest.FixtureRequest) -> tuple[KeyPurpose, ...]:
        return tuple(request.param)

    @pytest.fixture
    def lost(self, registry: InMemoryKeyRegistry, purposes: tuple[KeyPurpose, ...]) -> InMemoryKeyRegistry:
        keys = [key for key in registry.load("site-x").keys if key.purpose in purposes]
        registry.revoke(keys, Revocation(reason="stolen", revoked_at=NOW, reported_by="alice"))
        return registry

    def test_new_keys_are_put_to_use(self, lost: InMemoryKeyRegistry) -> None:
        """Whichever key was lost; what comes to be is recorded; the same again changes nothing; rotation goes on."""
        trail = InMemoryAuditTrail()
        registrar = registrar_of(lost, trail)
        registered = registrar.register(first_request(SECOND))
        assert registered.is_ready
        assert {key.key_id for key in registered.keys if key.state is KeyState.ACTIVE} == {
            SECOND.kem.public_key.key_id,
            SECOND.signing.public_key.key_id,
        }
        assert {key.state for key in registered.keys if key.version == 1} <= {KeyState.REVOKED, KeyState.RETIRING}
        assert (trail.actions["key.create"], trail.actions["key.activate"]) == (2, 2)
        assert registrar.register(first_request(SECOND)) == registered == lost.load("site-x")
        assert (trail.actions["key.create"], trail.actions["key.activate"]) == (2, 2)
        assert successor(lost).succeed("site-x", follow(SECOND, THIRD)).is_ready

    def test_a_key_that_was_lost_never_comes_back(self, lost: InMemoryKeyRegistry) -> None:
        """The old pair is refused: whoever repeats the first registration does not bring it back to use."""
        before = lost.load("site-x")
        with pytest.raises(SpentSuccessionError):
            registrar_of(lost).register(first_request(FIRST))
        assert lost.load("site-x") == before

    @pytest.mark.parametrize("after_effect", [False, True])
    @pytest.mark.parametrize("writes", [1, 2])
    def test_a_crash_is_mended_by_the_same_call(
        self, lost: InMemoryKeyRegistry, writes: int, after_effect: bool
    ) -> None:
        """Whether it died before or after any of its writes."""
        port = CrashingPort(lost, [writes], after_effect=after_effect, writes=WRITES)
        with pytest.raises(CrashError):
            registrar_of(port).register(first_request(SECOND))
        assert registrar_of(lost).register(first_request(SECOND)).is_ready


def test_keys_in_use_are_not_replaced_by_a_registration(registry: InMemoryKeyRegistry) -> None:
    """While both keys are in use, their word is needed: whoever may register cannot take a participant over."""
    with pytest.raises(ParticipantExistsError):
        registrar_of(registry).register(first_request(SECOND))
    assert registrar_of(registry).register(first_request(FIRST)) == registry.load("site-x")


def registrar_of(registry: Any, trail: Any = None) -> Registrar:
    facts = RegistrationFacts(name="site-x", requested_by="test", correlation_id="test-1")
    return Registrar(
        registry=registry,
        roles=InMemoryRoles(),
        vault=InMemoryVault(),
        backups=make_backups(InMemoryBackups()),
        trail=trail or InMemoryAuditTrail(),
        facts=facts,
        minimum_suite_id="PQT-1",
        now=NOW,
    )


def first_request(identity: PrivateIdentity) -> RegisterParticipant:
    document = identity.to_public().to_json().decode()
    return RegisterParticipant(name="site-x", kind=ParticipantKind.EXTERNAL, identity=document)
