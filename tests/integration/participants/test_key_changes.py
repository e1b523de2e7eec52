"""How keys follow each other in a registry; kept by the one in DynamoDB and by the one in memory alike."""

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pqtransfer.aws.participants import REVOCATION_ATTRIBUTES, DynamoKeyRegistry
from pqtransfer.crypto.identity import InvalidProofError, PrivateIdentity, generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, generate_private_key
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.changes import KeyStaysInUseError, NotTheNextVersionError
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import IllegalTransitionError, KeyState
from pqtransfer.keys.participant import (
    KeyVersion,
    PairProof,
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    Revocation,
    make_key_versions,
)
from pqtransfer.keys.registry import KeyRegistry, RegistryConflictError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
TABLE = "participants"
KEM, SIGNING = KeyPurpose
REVOCATION = Revocation(reason="lost laptop", revoked_at=LATER, compromised_at=NOW, reported_by="alice")


@pytest.fixture(params=["dynamodb", "memory"])
def any_registry(request: pytest.FixtureRequest) -> KeyRegistry:
    if request.param == "memory":
        return InMemoryKeyRegistry()
    registry: KeyRegistry = request.getfixturevalue("registry")
    return registry


class Site:
    """A participant that has all of its private keys at hand, by key id."""

    def __init__(self, name: str = "site-a") -> None:
        identity = generate_identity(name, suite_id="PQT-1")
        self.name = name
        self.private_keys = {key.public_key.key_id: key for key in (identity.kem, identity.signing)}
        self.registered = RegisteredParticipant(
            participant=Participant(name=name, kind=ParticipantKind.EXTERNAL, created_at=NOW),
            keys=make_key_versions(identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW),
        )

    def make_version(self, registered: RegisteredParticipant, purpose: KeyPurpose) -> KeyVersion:
        key = generate_private_key(purpose, "PQT-1")
        self.private_keys[key.public_key.key_id] = key
        return KeyVersion(
            participant=self.name,
            version=registered.newest_version(purpose) + 1,
            public_key=key.public_key,
            state=KeyState.PENDING,
            created_at=NOW,
            secret_id=f"p/{key.public_key.key_id[:16]}",
        )

    def prove(self, registered: RegisteredParticipant, new: KeyVersion) -> PairProof:
        return PairProof.of(PrivateIdentity(self.name, **self._pair(registered, new)).to_public())

    def _pair(self, registered: RegisteredParticipant, new: KeyVersion) -> dict[str, PrivateKey]:
        ids = {purpose: getattr(registered.find_active_key(purpose), "key_id", None) for purpose in KeyPurpose}
        ids[new.purpose] = new.key_id
        return {purpose: self.private_keys[str(key_id)] for purpose, key_id in ids.items()}

    def rotate(self, registry: KeyRegistry, purpose: KeyPurpose) -> RegisteredParticipant:
        registered = registry.load(self.name)
        new = self.make_version(registered, purpose)
        registered = registry.add_versions(registered, [new])
        return registry.activate(registered, [new], proof=self.prove(registered, new), at=LATER)


def count_active(registered: RegisteredParticipant, purpose: KeyPurpose) -> int:
    return sum(key.purpose is purpose and key.state is KeyState.ACTIVE for key in registered.keys)


@pytest.mark.requirement("D4.3")
@pytest.mark.parametrize("order", [(KEM,), (SIGNING,), (KEM, SIGNING), (SIGNING, SIGNING, KEM), (KEM, KEM, SIGNING)])
def test_kem_and_signing_keys_rotate_apart(any_registry: KeyRegistry, order: tuple[KeyPurpose, ...]) -> None:
    """Whichever pair is ACTIVE, the identity that others verify is whole and proves itself."""
    site = Site()
    any_registry.add(site.registered)
    for purpose in order:
        before = any_registry.load("site-a").find_active_key(purpose)
        registered = site.rotate(any_registry, purpose)
        assert registered == any_registry.load("site-a")
        assert before is not None
        replaced = registered.find_key(before.key_id)
        assert replaced is not None
        assert (replaced.state, replaced.state_changed_at) == (KeyState.RETIRING, LATER)
        identity = registered.to_identity()
        assert identity is not None
        identity.require_valid()
        assert all(count_active(registered, each) == 1 for each in KeyPurpose)


def test_the_loser_of_two_rotations_changes_nothing(any_registry: KeyRegistry) -> None:
    """Both read the same participant: the second one is refused, at the first step and at the last."""
    site = Site()
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    first, second = site.make_version(read, KEM), site.make_version(read, KEM)
    added = any_registry.add_versions(read, [first])
    with pytest.raises(RegistryConflictError):
        any_registry.add_versions(read, [second])
    won = any_registry.activate(added, [first], proof=site.prove(added, first), at=LATER)
    with pytest.raises(RegistryConflictError):
        any_registry.activate(added, [first], proof=site.prove(added, first), at=LATER)
    assert any_registry.load("site-a") == won


def test_a_proof_of_a_pair_that_is_no_longer_the_one(any_registry: KeyRegistry) -> None:
    """The signing key was rotated between the proof and the activation of a KEM key: prove it again."""
    site = Site()
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    kem, signing = site.make_version(read, KEM), site.make_version(read, SIGNING)
    read = any_registry.add_versions(read, [kem, signing])
    any_registry.activate(read, [signing], proof=site.prove(read, signing), at=LATER)
    with pytest.raises(RegistryConflictError):
        any_registry.activate(read, [kem], proof=site.prove(read, kem), at=LATER)
    again = any_registry.load("site-a")
    any_registry.activate(again, [kem], proof=site.prove(again, kem), at=LATER)
    identity = any_registry.load("site-a").to_identity()
    assert identity is not None
    assert (identity.kem, identity.signing) == (kem.public_key, signing.public_key)


def test_no_key_is_put_to_use_without_its_proof(any_registry: KeyRegistry) -> None:
    """None, one of another pair, one that was copied from another key: refused before anything is written."""
    site, other = Site(), Site("site-b")
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    new = site.make_version(read, KEM)
    read = any_registry.add_versions(read, [new])
    right = site.prove(read, new)
    stranger = other.prove(other.registered, other.registered.keys[0])
    for wrong in (None, stranger, right.model_copy(update={"proof": stranger.proof})):
        with pytest.raises(InvalidProofError):
            any_registry.activate(read, [new], proof=wrong, at=LATER)
    assert any_registry.load("site-a") == read


def test_only_the_next_version_is_added(any_registry: KeyRegistry) -> None:
    """A number that is skipped or taken, a key that was there before, one that is in use already."""
    site, other = Site(), Site("site-b")
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    new = site.make_version(read, KEM)
    for wrong in (
        new.model_copy(update={"version": 3}),
        new.model_copy(update={"version": 1}),
        new.model_copy(update={"public_key": read.keys[0].public_key}),
        new.model_copy(update={"state": KeyState.ACTIVE, "activated_at": NOW}),
        other.make_version(read, KEM),
    ):
        with pytest.raises(NotTheNextVersionError):
            any_registry.add_versions(read, [wrong])
    assert any_registry.load("site-a") == read


def test_a_second_active_key_is_refused(any_registry: KeyRegistry) -> None:
    """By the plain step to ACTIVE, too: there is no way beside `activate`."""
    site = Site()
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    new = site.make_version(read, KEM)
    any_registry.add_versions(read, [new])
    with pytest.raises(KeyStaysInUseError):
        any_registry.change_state([new], KeyState.ACTIVE, at=LATER)


@pytest.mark.requirement("D4.4")
@pytest.mark.parametrize(
    "state", [KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED, KeyState.DESTROYED]
)
def test_revoked_from_any_state(any_registry: KeyRegistry, state: KeyState) -> None:
    """Whatever the caller last saw of the key, it is out of use afterwards, and says why."""
    site = Site()
    any_registry.add(site.registered)
    seen = any_registry.load("site-a").find_active_key(KEM)
    assert seen is not None
    if state is KeyState.PENDING:
        seen = site.make_version(any_registry.load("site-a"), KEM)
        any_registry.add_versions(any_registry.load("site-a"), [seen])
    elif state is not KeyState.ACTIVE:
        site.rotate(any_registry, KEM)
        for step in (KeyState.RETIRED, KeyState.DESTROYED):
            current = any_registry.load("site-a").find_key(seen.key_id)
            if current is not None and current.state is not state:
                any_registry.change_state([current], step, at=LATER)
    [revoked] = any_registry.revoke([seen], REVOCATION)
    assert (revoked.state, revoked.revocation) == (KeyState.REVOKED, REVOCATION)
    assert any_registry.load("site-a").find_key(seen.key_id) == revoked
    other = REVOCATION.model_copy(update={"reason": "again"})
    assert any_registry.revoke([seen], other) == (revoked,)


@pytest.mark.requirement("D4.3")
def test_a_key_that_was_put_to_use_meanwhile_is_not_given_up(any_registry: KeyRegistry) -> None:
    """Giving up is for PENDING keys alone, whatever its caller last saw; a PENDING one is REVOKED."""
    site = Site()
    any_registry.add(site.registered)
    seen = site.make_version(any_registry.load("site-a"), KEM)
    any_registry.add_versions(any_registry.load("site-a"), [seen])
    assert any_registry.give_up(seen, REVOCATION).state is KeyState.REVOKED
    with pytest.raises(RegistryConflictError):
        any_registry.give_up(seen, REVOCATION)
    active = any_registry.load("site-a").find_active_key(KEM)
    assert active is not None
    for read in (active, active.model_copy(update={"state": KeyState.PENDING})):
        with pytest.raises(RegistryConflictError):
            any_registry.give_up(read, REVOCATION)
    assert any_registry.load("site-a").find_active_key(KEM) == active


@pytest.mark.requirement("D4.4")
def test_any_number_of_keys_is_revoked(any_registry: KeyRegistry) -> None:
    """More than fit one transaction, among them the pair in use, which no step leaves half in use."""
    site = Site()
    any_registry.add(site.registered)
    for _ in range(3):
        read, news = any_registry.load("site-a"), []
        for _ in range(35):
            version = site.make_version(read, SIGNING).model_copy(
                update={"version": read.newest_version(SIGNING) + len(news) + 1}
            )
            news.append(version)
        any_registry.add_versions(read, news)
    keys = any_registry.load("site-a").keys
    assert len(keys) == 107
    revoked = any_registry.revoke(tuple(reversed(keys)), REVOCATION)
    assert {key.key_id for key in revoked} == {key.key_id for key in keys}
    assert {key.state for key in revoked} == {KeyState.REVOKED}
    assert any_registry.load("site-a").keys == revoked


def test_after_a_revocation_there_is_room_for_a_new_key(any_registry: KeyRegistry) -> None:
    """Both keys are revoked together; a new pair is added and put to use in one step each."""
    site = Site()
    any_registry.add(site.registered)
    any_registry.revoke(any_registry.load("site-a").keys, REVOCATION)
    read = any_registry.load("site-a")
    assert (read.is_ready, read.to_identity()) == (False, None)
    kem, signing = site.make_version(read, KEM), site.make_version(read, SIGNING)
    read = any_registry.add_versions(read, [kem, signing])
    identity = PrivateIdentity("site-a", kem=site.private_keys[kem.key_id], signing=site.private_keys[signing.key_id])
    any_registry.activate(read, [kem, signing], proof=PairProof.of(identity.to_public()), at=LATER)
    assert any_registry.load("site-a").to_identity() is not None


def test_a_rotation_does_not_bring_a_revoked_key_back(any_registry: KeyRegistry) -> None:
    """The key is reported while its rotation is on the way: the rotation is refused, the revocation stays."""
    site = Site()
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    new = site.make_version(read, KEM)
    read = any_registry.add_versions(read, [new])
    any_registry.revoke([read.keys[0]], REVOCATION)
    with pytest.raises(RegistryConflictError):
        any_registry.activate(read, [new], proof=site.prove(read, new), at=LATER)
    old = any_registry.load("site-a").find_key(read.keys[0].key_id)
    assert old is not None
    assert old.state is KeyState.REVOKED


def test_secrets_are_forgotten_once_nothing_needs_them(any_registry: KeyRegistry) -> None:
    """Of a key that is destroyed or was given up, and of no other."""
    site = Site()
    any_registry.add(site.registered)
    read = any_registry.load("site-a")
    new = site.make_version(read, KEM)
    any_registry.add_versions(read, [new])
    with pytest.raises(IllegalTransitionError):
        any_registry.forget_secrets([new])
    [given_up] = any_registry.revoke([new], REVOCATION)
    any_registry.forget_secrets([given_up])
    found = any_registry.load("site-a").find_key(new.key_id)
    assert found is not None
    assert (found.secret_id, found.state) == (None, KeyState.REVOKED)


def test_items_of_before_keys_rotated(registry: DynamoKeyRegistry, dynamodb: Any) -> None:
    """Are read, revoked and rotated: what the registry compares with is written at the first change."""
    site = Site()
    registry.add(site.registered)
    forget = "REMOVE active_kem, active_signing, newest_kem, newest_signing"
    dynamodb.update_item(
        TableName=TABLE, Key={"participant": {"S": "site-a"}, "item": {"S": "PARTICIPANT"}}, UpdateExpression=forget
    )
    for key in site.registered.keys:
        dynamodb.update_item(
            TableName=TABLE,
            Key={"participant": {"S": "site-a"}, "item": {"S": f"KEY#{key.key_id}"}},
            UpdateExpression="REMOVE state_changed_at",
        )
    read = registry.load("site-a")
    assert {key.state_changed_at for key in read.keys} == {None}
    first, second = site.make_version(read, KEM), site.make_version(read, KEM)
    added = registry.add_versions(read, [first])
    with pytest.raises(RegistryConflictError):
        registry.add_versions(read, [second])
    registry.activate(added, [first], proof=site.prove(added, first), at=LATER)
    site.rotate(registry, SIGNING)
    assert all(count_active(registry.load("site-a"), purpose) == 1 for purpose in KeyPurpose)
    registry.revoke(registry.load("site-a").keys, REVOCATION)
    assert {key.state for key in registry.load("site-a").keys} == {KeyState.REVOKED}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["add kem", "add signing", "activate", "stale", "revoke", "retire"]), max_size=8))
def test_dynamodb_and_memory_agree(registry: DynamoKeyRegistry, dynamodb: Any, steps: list[str]) -> None:
    """Any sequence of changes, some from what was read long ago, ends alike and is refused alike in both."""
    site = Site(f"site-{len(registry.list_all())}")
    memory = InMemoryKeyRegistry([site.registered])
    registry.add(site.registered)
    first = registry.load(site.name)
    for step in steps:
        read = first if step == "stale" else registry.load(site.name)
        new = site.make_version(read, SIGNING if step == "add signing" else KEM)
        pending = next(iter(registry.load(site.name).pending_keys), new)
        outcomes: list[object] = []
        proof = site.prove(read, pending) if read.is_ready else None
        for each in (memory, registry):
            try:
                if step.startswith("add"):
                    outcomes.append(each.add_versions(read, [new]))
                elif step == "revoke":
                    outcomes.append(each.revoke(read.keys[:1], REVOCATION))
                elif step == "retire":
                    retiring = [key for key in read.keys if key.state is KeyState.RETIRING]
                    outcomes.append(each.change_state(retiring, KeyState.RETIRED, at=LATER))
                else:
                    outcomes.append(each.activate(read, [pending], proof=proof, at=LATER))
            except PqtransferError as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]
        assert memory.load(site.name) == registry.load(site.name)
        assert all(count_active(registry.load(site.name), purpose) <= 1 for purpose in KeyPurpose)


class OneCallAtATime:
    """A client whose calls to the table are served one after the other: moto's are not whole to other threads."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def transact_write_items(self, **request: Any) -> Any:
        with self._lock:
            return self._client.transact_write_items(**request)

    def get_paginator(self, operation: str) -> Any:
        return PagesAtOnce(self._client.get_paginator(operation), self._lock)


class PagesAtOnce:
    """A paginator that has all pages read when it answers."""

    def __init__(self, paginator: Any, lock: threading.Lock) -> None:
        self._paginator, self._lock = paginator, lock

    def paginate(self, **request: Any) -> list[Any]:
        with self._lock:
            return list(self._paginator.paginate(**request))


def test_many_rotations_at_once(dynamodb: Any, registry: DynamoKeyRegistry) -> None:
    """Eight threads rotate one participant; each wins or is refused, and one key of each purpose is ACTIVE."""
    site, shared = Site(), DynamoKeyRegistry(cast("Any", OneCallAtATime(dynamodb)), table_name=TABLE)
    registry.add(site.registered)
    results: list[str] = []

    def rotate(purpose: KeyPurpose) -> None:
        try:
            site.rotate(shared, purpose)
            results.append("won")
        except RegistryConflictError:
            results.append("lost")

    threads = [threading.Thread(target=rotate, args=(purpose,)) for purpose in [KEM, SIGNING] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registered = registry.load("site-a")
    assert len(results) == 8
    assert results.count("won") == sum(key.state is KeyState.RETIRING for key in registered.keys) >= 1
    assert all(count_active(registered, purpose) == 1 for purpose in KeyPurpose)


class NotingClient:
    """The table's client, which notes the attributes that every update names."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.named = set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **request: Any) -> Any:
        for action in request["TransactItems"]:
            update = action["Update"]
            text = f"{update['UpdateExpression']} {update['ConditionExpression']}".replace("#state", "state")
            words = re.findall(r"(?<![:\w])[a-z][a-z_]*\b(?!\()", text)
            self.named |= {*update["Key"], *(word for word in words if not word.startswith("attribute_"))}
        return self._client.transact_write_items(**request)


@pytest.mark.requirement("D4.5")
@pytest.mark.parametrize("purposes", [(KEM,), (SIGNING,), (KEM, SIGNING)])
def test_a_revocation_names_what_its_role_may_touch(
    registry: DynamoKeyRegistry, dynamodb: Any, purposes: tuple[KeyPurpose, ...]
) -> None:
    """And no more: the role that answers compromises is bound to these attributes."""
    site, client = Site(), NotingClient(dynamodb)
    registry.add(site.registered)
    site.rotate(registry, KEM)
    keys = [key for key in registry.load("site-a").keys if key.purpose in purposes]
    DynamoKeyRegistry(cast("Any", client), table_name=TABLE).revoke(keys, REVOCATION)
    assert client.named == set(REVOCATION_ATTRIBUTES)
