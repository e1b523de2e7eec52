"""Re-encryption: the same model under a new data key, for whom it was, by whom it was; nobody gains anything by it."""

import time
from dataclasses import replace
from typing import Any

import pytest

from pqtransfer.crypto.envelope import generate_data_key
from pqtransfer.crypto.floe import DamagedSegmentError
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.manifest import SignedManifest, sign_manifest
from pqtransfer.crypto.payload import DamagedPartError, open_payload_cipher
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import PairProof, Revocation, make_key_versions
from pqtransfer.keys.registry import KeyNotUsableError, find_signing_key
from pqtransfer.protection.owners import NobodyHereCanOpenError
from pqtransfer.transfers.container import (
    DamagedPayloadError,
    SupersededError,
    WrongTransferError,
    open_data_key,
    read_envelope,
    read_manifest,
    read_trusted_manifest,
)
from pqtransfer.transfers.folder import MANIFEST_NAME, RESIGNED_NAME
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferConflictError, TransferState
from tests.containers import (
    ONE_MEBIBYTE,
    OTHER_TRANSFER_ID,
    TRANSFER_ID,
    Container,
    make_bytes,
    make_container,
    make_identity,
    open_container,
)
from tests.fakes.folders import Crash, FaultPlan, Faulty, InMemoryFolder, PlainSealer
from tests.unit.transfer_worker.conftest import make_request
from tests.unit.transfer_worker.test_pipeline import CONTAINER, MODEL, NOW, Office
from transfer_worker.reencryption import NotARecipientYetError, NotOfSenderError

LARGE = make_bytes("a model of three parts", 2 * ONE_MEBIBYTE + 77)
AGAIN = {"transfer_id": OTHER_TRANSFER_ID, "kind": "reencrypt", "source": CONTAINER, "recipients": ("bob",)}
STOLEN = Revocation(reason="stolen", revoked_at=NOW, reported_by="soc")


def make_office(model: bytes = MODEL, **container: object) -> Office:
    office = Office()
    office.place(make_container(model, **{"recipients": ("bob",), **container}))  # type: ignore[arg-type]
    return office


def new_container(office: Office) -> InMemoryFolder:
    return office.storage.container(f"transfers/{OTHER_TRANSFER_ID}/")  # type: ignore[return-value]


def read_all(folder: InMemoryFolder) -> Container:
    return Container(*(folder.get(name) for name in ("payload", "manifest.json", "envelope.json")))


@pytest.mark.parametrize("model", [b"", b"small", LARGE], ids=["empty", "small", "three parts"])
def test_the_model_is_the_same_under_another_key(model: bytes) -> None:
    """Another payload, signed by the same sender, who says whose model it is; metadata, sizes and recipients stay, as
    does the old container."""
    office = make_office(model, metadata={"round": "7"})
    before = dict(office.own_container.objects)
    result = office.run(**AGAIN)
    made = read_all(new_container(office))
    assert open_container(made, make_identity("bob").kem, sender=make_identity("alice").signing.public_key) == model
    old, new = read_manifest(office.own_container).body, read_manifest(new_container(office)).body
    assert (new.sender, new.metadata, new.plaintext_length, new.part_size) == (
        old.sender,
        {**old.metadata, "pqtransfer.reencrypts": old.transfer_id},
        old.plaintext_length,
        old.part_size,
    )
    assert new.floe_header != old.floe_header
    assert result.location == new_container(office).locate("")
    assert office.own_container.objects == before
    assert {row.transfer_id for row in office.dependencies.rows} == {OTHER_TRANSFER_ID}


@pytest.mark.requirement("D4.4")
def test_a_revoked_key_opens_what_is_wrapped_anew_and_nothing_else() -> None:
    """The data key that it could open is of no use for the new container; no other kind of request may use it."""
    office = make_office(LARGE, recipients=("bob", "alice"))
    bob = office.registry.load("bob")
    stolen = make_identity("bob").kem
    office.registry.revoke([key for key in bob.keys if key.key_id == stolen.public_key.key_id], STOLEN)
    alice = office.registry.load("alice")
    office.registry.revoke([key for key in alice.keys if key.purpose == "kem"], STOLEN)
    with pytest.raises(PqtransferError):
        office.run(kind="decrypt", source=CONTAINER, destination="s3://results/x", sender="bob", recipients=("bob",))
    with pytest.raises(PqtransferError):
        office.run(kind="rewrap", source=CONTAINER, sender="bob", recipients=("carol",))
    office.place(make_container(LARGE, recipients=("bob", "carol")))
    office.run(**{**AGAIN, "recipients": ("carol",)})
    manifest = read_manifest(new_container(office)).body
    envelope = read_envelope(new_container(office)).envelope
    with pytest.raises(PqtransferError):
        open_data_key(manifest, envelope, [stolen])
    assert open_container(read_all(new_container(office)), make_identity("carol").kem) == LARGE


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"sender": "bob"}, NotOfSenderError),
        ({"recipients": ("bob", "carol")}, NotARecipientYetError),
        ({"recipients": ("alice",)}, NotARecipientYetError),  # who sent it, and is no recipient, does not become one
    ],
)
def test_nobody_gains_by_asking(fields: dict[str, object], error: type[PqtransferError]) -> None:
    """Only the sender may ask, and only for those who could read before."""
    office = make_office()
    with pytest.raises(error):
        office.run(**AGAIN | fields)
    assert not new_container(office).objects


def test_what_nobody_here_can_open_is_refused() -> None:
    """A container for external participants alone needs one of them, or its sender."""
    office = make_office(recipients=("carol",))
    with pytest.raises(NobodyHereCanOpenError):
        office.run(**{**AGAIN, "recipients": ("carol",)})


def test_a_damaged_payload_is_not_passed_on() -> None:
    """Neither a changed payload, nor one that was cut, nor whole segments that are authentic and were not signed."""
    data_key = generate_data_key()
    made = make_container(LARGE, data_key=data_key)
    for payload, error in (
        (bytes(len(made.payload)), DamagedSegmentError),
        (made.payload[:-1], DamagedPayloadError),
        (encrypt_again(made, data_key), DamagedPartError),
    ):
        office = make_office(LARGE)
        office.place(replace(made, payload=payload))
        with pytest.raises(error):
            office.run(**AGAIN)
        assert MANIFEST_NAME not in new_container(office).objects


def encrypt_again(made: Container, data_key: SecretBytes) -> bytes:
    """The same model under the same key and header: every segment is authentic, and none is the one that was signed."""
    body = SignedManifest.from_json(made.manifest_json).body
    cipher = open_payload_cipher(
        data_key, header=body.floe_header, suite_id=body.suite, transfer_id=body.transfer_id, sender=body.sender
    )
    payload = bytearray(body.ciphertext_length)
    for segment in range(3):
        plain, place = body.geometry.segment_plaintext(segment), body.geometry.segment_ciphertext(segment)
        out = memoryview(payload)[place.start : place.end]
        cipher.encrypt_segment_into(segment, LARGE[plain.start : plain.end], out, final=body.geometry.is_final(segment))
    return bytes(payload)


def run_with(office: Office, folder: Any) -> None:
    """An attempt of a process of its own, which finds what others left."""
    office.storage.folders[f"models/transfers/{OTHER_TRANSFER_ID}/"] = folder
    context = JobContext(checkpoints=office.checkpoints, sealer=PlainSealer(), monotonic=time.monotonic)
    office.pipeline.run(make_request(**AGAIN), context)


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_crash_anywhere_is_gone_on_from(after_effect: bool) -> None:
    """At every call of the new container's store, before and after its effect: the next attempt ends with one model."""
    counting = FaultPlan()
    run_with(make_office(LARGE), Faulty(InMemoryFolder(), counting))
    assert len(counting.calls) > 5
    for at in range(len(counting.calls)):
        office, folder = make_office(LARGE), InMemoryFolder()
        with pytest.raises(Crash):
            run_with(office, Faulty(folder, FaultPlan(at=at, after_effect=after_effect)))
        run_with(office, folder)
        assert open_container(read_all(folder), make_identity("bob").kem) == LARGE
        assert not folder.uploads


def test_a_superseded_container_is_not_used() -> None:
    """Who asks for it is told which transfer it is now."""
    office = make_office()
    for _ in range(2):
        office.ledger.supersede(TRANSFER_ID, by=OTHER_TRANSFER_ID)
    with pytest.raises(SupersededError, match=OTHER_TRANSFER_ID):
        office.run(kind="verify", source=CONTAINER, recipients=())
    assert office.ledger.get(TRANSFER_ID).state is TransferState.COMPLETED
    with pytest.raises(TransferConflictError):
        office.ledger.supersede(TRANSFER_ID, by=TRANSFER_ID)


class TestResigned:
    """A manifest whose signing key was revoked counts with a later signature of its sender under the same body."""

    @pytest.fixture
    def office(self) -> Office:
        """Alice's signing key is revoked, and she has another one: that of a second identity of hers."""
        office = make_office()
        alice = office.registry.load("alice")
        office.registry.revoke([key for key in alice.keys if key.purpose == "signing"], STOLEN)
        identity = PrivateIdentity("alice", kem=make_identity("alice").kem, signing=make_identity("alice-2").signing)
        pair = identity.to_public()
        (_, signing) = make_key_versions(
            pair, version=2, state=KeyState.PENDING, created_at=NOW, secret_ids=("alice/kem", "alice/signing-2")
        )
        added = office.registry.add_versions(office.registry.load("alice"), [signing])
        office.registry.activate(added, [signing], proof=PairProof.of(pair), at=NOW)
        return office

    def verify(self, office: Office, *, signed_by: str, **changes: object) -> str:
        body = read_manifest(office.own_container).body.model_copy(update=changes)
        office.own_container.put(RESIGNED_NAME, sign_manifest(body, make_identity(signed_by).signing).to_json())
        return read_trusted_manifest(
            office.own_container,
            office.ledger.get(TRANSFER_ID),
            find_signing_key=lambda name, key_id: find_signing_key(name, key_id, registry=office.registry),
            minimum_suite_id="PQT-1",
        ).signing_key.key_id

    def test_it_counts(self, office: Office) -> None:
        """By the new key."""
        assert self.verify(office, signed_by="alice-2") == make_identity("alice-2").signing.public_key.key_id

    def test_without_it_the_manifest_does_not_count(self, office: Office) -> None:
        """A revoked key proves nothing."""
        with pytest.raises(KeyNotUsableError):
            office.run(kind="verify", source=CONTAINER, recipients=())

    @pytest.mark.parametrize("signed_by", ["bob", "alice"])
    def test_it_must_be_by_a_key_of_the_sender_that_counts(self, office: Office, signed_by: str) -> None:
        """Neither another participant's signature helps, nor one more by the revoked key."""
        with pytest.raises(PqtransferError):
            self.verify(office, signed_by=signed_by)

    def test_it_must_be_under_the_same_manifest(self, office: Office) -> None:
        """Nothing of a manifest ever changes."""
        with pytest.raises(WrongTransferError):
            self.verify(office, signed_by="alice-2", metadata={"other": "text"})
