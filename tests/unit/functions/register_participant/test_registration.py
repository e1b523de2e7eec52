"""Registering participants: what comes to be, what is refused, and what a crash between any two steps leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.register_participant.audit import RegistrationFacts
from functions.register_participant.registration import IdentityOfAnotherError, Registrar
from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.identity import InvalidProofError, PrivateIdentity, generate_identity
from pqtransfer.crypto.suites import UnknownSuiteError, WeakSuiteError
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.in_memory import InMemoryBackups, InMemoryKeyRegistry, InMemoryRoles, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import ManagedNameTooLongError, ParticipantKind
from pqtransfer.keys.registration import (
    MalformedRegistrationError,
    RegisterParticipant,
    read_registration_request,
)
from pqtransfer.keys.registry import ParticipantExistsError, RegistryConflictError
from tests.fakes.backups import make_backups
from tests.fakes.crashes import CrashError, CrashingPort
from tests.fakes.trails import InMemoryAuditTrail

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SITE_ROLE = "arn:aws:iam::123456789012:role/site-m"
MANAGED = RegisterParticipant(
    name="site-m", kind=ParticipantKind.MANAGED, principals=(SITE_ROLE,), buckets=("models-of-m",)
)
WRITES = frozenset({"add", "start_over", "change_state", "ensure", "store", "discard", "create", "remove"})
FACTS = RegistrationFacts("site-m", "arn:aws:sts::123456789012:assumed-role/operator/jo", "enrolment-7")


@dataclass
class World:
    """Everything that outlives a process: the registry, the roles, the secrets."""

    registry: InMemoryKeyRegistry = field(default_factory=InMemoryKeyRegistry)
    roles: InMemoryRoles = field(default_factory=InMemoryRoles)
    vault: InMemoryVault = field(default_factory=InMemoryVault)
    backups: InMemoryBackups = field(default_factory=InMemoryBackups)
    trail: InMemoryAuditTrail = field(default_factory=InMemoryAuditTrail)

    def registrar(
        self, *, minimum_suite_id: str = "PQT-1", wrap: Callable[[Any], Any] = lambda port: port
    ) -> Registrar:
        return Registrar(
            registry=wrap(self.registry),
            roles=wrap(self.roles),
            vault=wrap(self.vault),
            backups=make_backups(wrap(self.backups)),
            trail=self.trail,
            facts=FACTS,
            minimum_suite_id=minimum_suite_id,
            now=NOW,
        )

    def require_whole(self, name: str = "site-m") -> None:
        """One participant with one usable pair of keys; one role; one secret and one backup a key; nothing besides."""
        [registered] = self.registry.list_all()
        active = [key for key in registered.keys if key.state is KeyState.ACTIVE]
        assert (registered.name, registered.is_ready, len(active)) == (name, True, 2)
        assert list(self.roles.roles.values()) == [registered.participant]
        assert set(self.vault.secrets) == {key.secret_id for key in active}
        assert set(self.backups.documents) == {name_backup(key) for key in active}
        for key in active:
            assert self.vault.read(key, role_arn=registered.participant.role_arn or "", session_name="test")


def register_until_crash(world: World, request: RegisterParticipant, *, at_write: int, after_effect: bool) -> bool:
    """True when the process died on the way."""
    countdown = [at_write]
    registrar = world.registrar(
        wrap=lambda port: CrashingPort(port, countdown, after_effect=after_effect, writes=WRITES)
    )
    try:
        registrar.register(request)
    except CrashError:
        return True
    return False


def make_external_request(identity: PrivateIdentity, *, name: str | None = None) -> RegisterParticipant:
    return RegisterParticipant(
        name=name or identity.participant,
        kind=ParticipantKind.EXTERNAL,
        identity=identity.to_public().to_json().decode(),
    )


@pytest.mark.parametrize("suite", [None, "PQT-1", "PQT-2"])
def test_a_managed_participant_comes_to_be(suite: str | None) -> None:
    """Keys, role and secrets exist, and the identity it gives out proves itself."""
    world = World()
    registered = world.registrar().register(MANAGED.model_copy(update={"suite": suite}))
    world.require_whole()
    identity = registered.to_identity()
    assert identity is not None
    identity.require_valid()
    assert identity.suite_id == (suite or "PQT-1")
    assert registered.participant.principals == (SITE_ROLE,)
    assert registered.participant.buckets == ("models-of-m",)


def test_repeating_it_changes_nothing() -> None:
    """The second call answers what the first did; no key is made twice."""
    world = World()
    first = world.registrar().register(MANAGED)
    assert world.registrar().register(MANAGED) == first
    world.require_whole()


def test_repeating_it_brings_the_role_back() -> None:
    """What became of a ready participant's role meanwhile, the same call mends; another one does not touch it."""
    world = World()
    registered = world.registrar().register(MANAGED)
    (arn,) = world.roles.roles
    lost = registered.participant.model_copy(update={"principals": ()})
    world.roles.roles[arn] = lost
    with pytest.raises(ParticipantExistsError):
        world.registrar().register(MANAGED.model_copy(update={"principals": ()}))
    assert world.roles.roles == {arn: lost}
    assert world.registrar().register(MANAGED) == registered
    world.require_whole()


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at_write", range(1, 9))
def test_a_crash_at_any_write_is_mended_by_the_same_call(at_write: int, after_effect: bool) -> None:
    """Killed before or after each step: the next call leaves exactly one participant and no orphan."""
    world = World()
    crashed = register_until_crash(world, MANAGED, at_write=at_write, after_effect=after_effect)
    assert crashed == (at_write <= 7)  # registry, role, secret, backup, secret, backup, registry
    world.registrar().register(MANAGED)
    world.require_whole()


@settings(max_examples=60)
@given(crashes=st.lists(st.tuples(st.integers(1, 10), st.booleans(), st.booleans()), max_size=4))
def test_crash_upon_crash(crashes: list[tuple[int, bool, bool]]) -> None:
    """However often it dies, and even when the suite is changed between the tries, the last call makes it whole."""
    world = World()
    for at_write, after_effect, other_suite in crashes:
        suite = "PQT-2" if other_suite else "PQT-1"
        request = MANAGED.model_copy(update={"suite": suite})
        try:
            register_until_crash(world, request, at_write=at_write, after_effect=after_effect)
        except ParticipantExistsError:  # an earlier try was finished under the other suite
            assert world.registry.load("site-m").is_ready
    if world.registry.list_all() and world.registry.load("site-m").is_ready:
        identity = world.registry.load("site-m").to_identity()
        assert identity is not None
        world.registrar().register(MANAGED.model_copy(update={"suite": identity.suite_id}))
    else:
        world.registrar().register(MANAGED)
    world.require_whole()


def test_until_it_is_whole_nobody_can_use_it() -> None:
    """A participant whose registration died half-way has no key to wrap to."""
    for at_write in range(1, 8):
        world = World()
        register_until_crash(world, MANAGED, at_write=at_write, after_effect=False)
        assert not any(registered.is_ready for registered in world.registry.list_all())


def test_two_calls_at_the_same_time() -> None:
    """Whoever is overtaken says so, and leaves the keys of the one that was faster alone."""
    world = World()
    overtaken: list[str] = []

    class OvertakenRoles:
        """While one call makes the role, another one with the same request runs from beginning to end."""

        arn_of = staticmethod(world.roles.arn_of)

        def ensure(self, participant: Any) -> None:
            if not overtaken:
                overtaken.append("by another call")
                world.registrar().register(MANAGED)
            world.roles.ensure(participant)

    slow = replace(world.registrar(), roles=OvertakenRoles())
    with pytest.raises(RegistryConflictError):
        slow.register(MANAGED)
    world.require_whole()


def test_another_call_finishes_the_same_keys() -> None:
    """When a second call finds both secrets stored, both calls end with the same keys."""
    world = World()

    class FinishedRegistry:
        """The keys are put to use by another call, right before this one does it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.registry, name)

        def change_state(self, keys: Any, state: KeyState, *, at: datetime) -> Any:
            world.registrar().register(MANAGED)
            return world.registry.change_state(keys, state, at=at)

    first: Any = FinishedRegistry()
    registrar = replace(world.registrar(), registry=first)
    assert registrar.register(MANAGED) == world.registry.load("site-m")
    world.require_whole()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"principals": ()}, "other principals"),
        ({"principals": (SITE_ROLE, "arn:aws:iam::123456789012:role/other")}, "other principals"),
        ({"buckets": ()}, "other buckets"),
        ({"buckets": ("models-of-m", "models-of-another")}, "other buckets"),
        ({"suite": "PQT-2"}, "suite PQT-1"),
    ],
)
def test_repeating_it_differently_is_refused(changed: dict[str, Any], difference: str) -> None:
    """Adding a participant again never lets somebody else at its keys, nor its workers at other buckets."""
    world = World()
    world.registrar().register(MANAGED)
    before = world.registry.list_all()
    with pytest.raises(ParticipantExistsError, match=difference):
        world.registrar().register(MANAGED.model_copy(update=changed))
    assert world.registry.list_all() == before
    world.require_whole()


def test_the_order_of_buckets_is_no_difference() -> None:
    """Nor is that of principals."""
    world = World()
    first = world.registrar().register(MANAGED.model_copy(update={"buckets": ("models-of-m", "results-of-m")}))
    again = world.registrar().register(MANAGED.model_copy(update={"buckets": ("results-of-m", "models-of-m")}))
    assert again == first


@pytest.mark.parametrize("changed", [{"principals": ()}, {"buckets": ()}, {"buckets": ("results-of-m",)}])
def test_before_it_is_whole_it_may_be_asked_for_differently(changed: dict[str, Any]) -> None:
    """A mistake in the first call does not block the name, and nothing of it stays: nothing was in use yet."""
    world = World()
    register_until_crash(world, MANAGED, at_write=5, after_effect=False)
    participant = world.registrar().register(MANAGED.model_copy(update=changed)).participant
    assert {name: getattr(participant, name) for name in changed} == changed
    world.require_whole()


def test_an_external_participant_comes_to_be() -> None:
    """Its public keys are registered, and nothing else is made."""
    world = World()
    identity = generate_identity("site-x", suite_id="PQT-2")
    for _ in range(2):
        registered = world.registrar().register(make_external_request(identity))
    found = registered.to_identity()
    assert found is not None
    assert (found.kem, found.signing) == (identity.kem.public_key, identity.signing.public_key)
    assert world.registry.list_all() == [registered]
    assert (world.roles.roles, world.vault.secrets) == ({}, {})


def test_bad_requests_make_nothing() -> None:
    """Each refusal has its name, and leaves registry, roles and secrets as they were."""
    mine, theirs = generate_identity("site-x", suite_id="PQT-1"), generate_identity("site-x", suite_id="PQT-1")
    borrowed = mine.to_public().model_copy(update={"kem": theirs.kem.public_key})
    stolen = mine.to_public().model_copy(update={"proof": theirs.to_public().proof})
    cut_off = mine.to_public().to_json().decode()[:-10]
    cases: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"name": "site-x", "kind": "external", "identity": borrowed.to_json().decode()}, InvalidProofError),
        ({"name": "site-x", "kind": "external", "identity": stolen.to_json().decode()}, InvalidProofError),
        ({"name": "site-x", "kind": "external", "identity": cut_off}, MalformedDocumentError),
        ({"name": "site-x", "kind": "external", "identity": "{}"}, MalformedDocumentError),
        (
            {"name": "site-y", "kind": "external", "identity": mine.to_public().to_json().decode()},
            IdentityOfAnotherError,
        ),
        (
            {"name": "site-x", "kind": "external", "identity": mine.to_public().to_json().decode(), "suite": "PQT-2"},
            MalformedRegistrationError,
        ),
        ({"name": "site-x", "kind": "managed", "suite": "PQT-9"}, UnknownSuiteError),
        ({"name": "a" * 31, "kind": "managed"}, ManagedNameTooLongError),
        ({"name": "Site X", "kind": "managed"}, MalformedRegistrationError),
    ]
    for document, error in cases:
        world = World()
        with pytest.raises(error):
            world.registrar().register(read_registration_request(document))
        assert (world.registry.list_all(), world.roles.roles, world.vault.secrets) == ([], {}, {})


def test_a_suite_under_the_minimum() -> None:
    """The environment's minimum holds for managed and external keys alike."""
    world = World()
    external = make_external_request(generate_identity("site-x", suite_id="PQT-1"))
    for request in (MANAGED, external):
        with pytest.raises(WeakSuiteError):
            world.registrar(minimum_suite_id="PQT-2").register(request)
    assert (world.registry.list_all(), world.roles.roles, world.vault.secrets) == ([], {}, {})


def test_a_name_that_is_taken() -> None:
    """By other keys, or by the other kind, in both directions."""
    world = World()
    world.registrar().register(make_external_request(generate_identity("site-m", suite_id="PQT-1")))
    with pytest.raises(ParticipantExistsError, match="external"):
        world.registrar().register(MANAGED)
    with pytest.raises(ParticipantExistsError, match="other keys"):
        world.registrar().register(make_external_request(generate_identity("site-m", suite_id="PQT-1")))
    world = World()
    world.registrar().register(MANAGED)
    with pytest.raises(ParticipantExistsError, match="managed"):
        world.registrar().register(make_external_request(generate_identity("site-m", suite_id="PQT-1")))
    world.require_whole()
