"""No key is destroyed that an envelope needs, and no envelope is wrapped to a key that was revoked before it stood."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.keys.in_memory import InMemoryKeyRegistry
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import (
    KeyVersion,
    PairProof,
    Participant,
    ParticipantKind,
    RegisteredParticipant,
    Revocation,
    make_key_versions,
)
from pqtransfer.keys.registry import ParticipantNotReadyError
from pqtransfer.protection.reserving import KeyReservations, RecipientsChangingError
from pqtransfer.transfers.dependencies import Dependency, KeyRole
from tests.containers import TRANSFER_ID
from tests.fakes.dependencies import InMemoryDependencyIndex

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Site:
    """A participant whose keys are rotated, retired and destroyed, and the index that its envelopes are noted in."""

    def __init__(self) -> None:
        self.identity = generate_identity("site-a", suite_id="PQT-1")
        participant = Participant(name="site-a", kind=ParticipantKind.EXTERNAL, created_at=NOW)
        keys = make_key_versions(self.identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW)
        self.registry = InMemoryKeyRegistry([RegisteredParticipant(participant=participant, keys=keys)])
        self.index = InMemoryDependencyIndex()

    @property
    def reservations(self) -> KeyReservations:
        return KeyReservations(self.registry, self.index, minimum_suite_id="PQT-1")

    @property
    def active(self) -> KeyVersion:
        key = self.registry.load("site-a").find_active_key(KeyPurpose.KEM)
        assert key is not None
        return key

    def key(self, key_id: str) -> KeyVersion:
        key = self.registry.load("site-a").find_key(key_id)
        assert key is not None
        return key

    def rotate(self) -> None:
        """A new pair in the place of the old one."""
        registered = self.registry.load("site-a")
        identity = generate_identity("site-a", suite_id="PQT-1").to_public()
        version = registered.newest_version(KeyPurpose.KEM) + 1
        keys = make_key_versions(identity, version=version, state=KeyState.PENDING, created_at=NOW)
        registered = self.registry.add_versions(registered, keys)
        self.registry.activate(registered, keys, proof=PairProof.of(identity), at=NOW)

    def move(self, key_id: str, state: KeyState) -> None:
        self.registry.change_state([self.key(key_id)], state, at=NOW + timedelta(days=1))

    def reserve(self) -> tuple[PublicKey, ...]:
        return self.reservations.reserve(["site-a"], transfer_id=TRANSFER_ID, epoch=1)


def test_the_rows_stand_before_the_key_is_handed_out() -> None:
    """For the recipient's key and for the signing keys, under the epoch of the envelope to come."""
    site = Site()
    signing = site.identity.signing.public_key.key_id
    take = site.reservations.for_next_envelope(
        ["site-a"], transfer_id=TRANSFER_ID, signing_key_id=signing, manifest_key_id="ab" * 32
    )
    assert take(3) == (site.active.public_key,)
    assert {(row.key_id, row.role, row.epoch) for row in site.index.rows} == {
        (site.active.key_id, KeyRole.RECIPIENT, 3),
        (signing, KeyRole.ENVELOPE_SIGNER, 3),
        ("ab" * 32, KeyRole.MANIFEST_SIGNER, 3),
    }


@pytest.mark.requirement("D4.4")
def test_a_revoked_key_is_not_reserved() -> None:
    """What was resolved before is of no account; with a new key the envelope is for that one."""
    site = Site()
    old = site.active
    revoked = Revocation(reason="stolen", revoked_at=NOW, reported_by="soc")
    site.registry.revoke([old], revoked)
    with pytest.raises(ParticipantNotReadyError):
        site.reserve()
    site.rotate()
    (key,) = site.reserve()
    assert key == site.active.public_key != old.public_key


def test_keys_that_keep_changing_end_in_an_error() -> None:
    """Not in an endless loop."""
    site = Site()
    note = site.index.note

    def rotate_meanwhile(rows: Iterator[Dependency]) -> None:
        note(rows)
        site.rotate()

    site.index.note = rotate_meanwhile  # type: ignore[method-assign, assignment]
    with pytest.raises(RecipientsChangingError):
        site.reserve()


def writer(site: Site, wrapped_to: list[str]) -> Iterator[None]:
    """The steps of whoever writes an envelope, as `KeyReservations` takes them, one at a time."""
    key = site.active
    yield
    while True:
        site.index.note([Dependency(key_id=key.key_id, role=KeyRole.RECIPIENT, transfer_id=TRANSFER_ID, epoch=1)])
        yield
        latest = site.active
        if latest.key_id == key.key_id:
            break
        key = latest
        yield
    yield
    wrapped_to.append(key.key_id)


def destroyer(site: Site) -> Iterator[None]:
    """The steps of the key service: rotate, retire, look for dependents, destroy."""
    old = site.active.key_id
    site.rotate()
    yield
    site.move(old, KeyState.RETIRED)
    yield
    if site.index.has_dependents(old):
        return
    yield
    site.move(old, KeyState.DESTROYED)


def interleave(site: Site, order: tuple[int, ...], actors: tuple[Callable[[], Iterator[None]], ...]) -> None:
    running = [actor() for actor in actors]
    for number in order:
        next(running[number], None)
    for each in running:
        for _ in each:
            pass


ORDERS = [
    tuple(1 if place in chosen else 0 for place in range(9))
    for count in range(5)
    for chosen in combinations(range(9), count)
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("wd"[each] for each in order))
def test_no_interleaving_destroys_a_key_that_an_envelope_needs(order: tuple[int, ...]) -> None:
    """Whatever the writer and the key service do in between each other's steps."""
    site, wrapped_to = Site(), list[str]()
    interleave(site, order, (lambda: writer(site, wrapped_to), lambda: destroyer(site)))
    (key_id,) = wrapped_to
    assert site.key(key_id).state is not KeyState.DESTROYED
    assert site.index.has_dependents(key_id)
