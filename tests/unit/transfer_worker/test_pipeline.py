"""What a worker does with each kind of request, and why it refuses: on folders, a registry and a vault in memory."""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pqtransfer.aws.failures import CloudAccessDeniedError
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.errors import AccessError, PqtransferError
from pqtransfer.keys.custody import KeyNotStoredError
from pqtransfer.keys.in_memory import InMemoryKeyRegistry, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import Participant, ParticipantKind, RegisteredParticipant, make_key_versions
from pqtransfer.protection.reserving import KeyReservations
from pqtransfer.sdk.in_memory import MemoryCheckpointStore, MemorySealer
from pqtransfer.transfers.container import read_envelope, read_manifest
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME, Folder
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferRecord, TransferResult, TransferState
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, Container, make_bytes, make_container, make_identity
from tests.fakes.dependencies import InMemoryDependencyIndex
from tests.fakes.folders import InMemoryFolder
from tests.fakes.ledgers import InMemoryLedger
from tests.fakes.trails import InMemoryAuditTrail
from tests.unit.transfer_worker.conftest import make_request
from transfer_worker.pipeline import BucketNotOfSenderError, TransferPipeline

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = make_bytes("a model on S3", 3000)
BUCKETS = {"alice": ("site", "denied"), "bob": ("results", "denied"), "dave": ("results",)}
CONTAINER = f"s3://models/transfers/{TRANSFER_ID}/"
DECRYPTION = {
    "kind": "decrypt",
    "source": CONTAINER,
    "destination": "s3://results/model",
    "sender": "bob",
    "recipients": ("bob",),
}


class MemoryStorage:
    """Every container prefix and every bucket is a folder of its own."""

    data_bucket = "models"

    def __init__(self) -> None:
        self.folders: dict[str, InMemoryFolder] = {}
        self.denied: set[str] = set()

    def container(self, prefix: str) -> Folder:
        return self.folders.setdefault(f"models/{prefix}", InMemoryFolder())

    def site(self, bucket: str) -> Folder:
        if bucket in self.denied:
            return DeniedFolder()  # type: ignore[return-value]
        return self.folders.setdefault(bucket, InMemoryFolder())


class DeniedFolder:
    """A bucket whose owner granted nothing."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        def refuse(*_arguments: object, **_keywords: object) -> object:
            raise CloudAccessDeniedError(
                f"could not {name}: access denied; use a role that is granted this", aws_code=""
            )

        return refuse


class Office:
    """A registry with alice and bob managed, carol external, dave with PQT-2 keys; a model in the bucket `site`.

    The worker may use every bucket that is not denied; its senders those of BUCKETS.
    """

    def __init__(self) -> None:
        self.registry = InMemoryKeyRegistry()
        self.ledger = InMemoryLedger()
        self.vault = InMemoryVault()
        self.dependencies = InMemoryDependencyIndex()
        self.storage = MemoryStorage()
        self.checkpoints = MemoryCheckpointStore()
        self.trail = InMemoryAuditTrail()
        self.minimum_suite_id = "PQT-1"
        for name in ("alice", "bob"):
            self.add(make_identity(name))
        self.add(make_identity("carol"), managed=False)
        self.add(make_identity("dave", "PQT-2"))
        self.site.put("model", MODEL)

    @property
    def site(self) -> InMemoryFolder:
        return self.storage.site("site")  # type: ignore[return-value]

    @property
    def own_container(self) -> InMemoryFolder:
        return self.storage.container(f"transfers/{TRANSFER_ID}/")  # type: ignore[return-value]

    def add(self, identity: PrivateIdentity, *, managed: bool = True, buckets: tuple[str, ...] = ()) -> None:
        name, role = identity.participant, f"arn:aws:iam::123456789012:role/{identity.participant}"
        secrets = (f"{name}/kem", f"{name}/signing") if managed else (None, None)
        keys = make_key_versions(
            identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW, secret_ids=secrets
        )
        participant = Participant(
            name=name,
            kind=ParticipantKind.MANAGED if managed else ParticipantKind.EXTERNAL,
            created_at=NOW,
            role_arn=role if managed else None,
            buckets=buckets or BUCKETS.get(name, ()),
        )
        self.registry.add(RegisteredParticipant(participant=participant, keys=keys))
        if managed:
            for key, private in zip(keys, (identity.kem, identity.signing), strict=True):
                self.vault.store(key, private, role_arn=role)

    def place(self, container: Container) -> None:
        """As a finished transfer of alice leaves it."""
        self.record(TransferState.COMPLETED)
        for name, data in (
            (PAYLOAD_NAME, container.payload),
            (MANIFEST_NAME, container.manifest_json),
            (ENVELOPE_NAME, container.envelope_json),
        ):
            self.own_container.put(name, data)

    def record(self, state: TransferState) -> None:
        self.ledger.records[TRANSFER_ID] = TransferRecord(
            request=make_request(), state=state, submitted_at=NOW, changed_at=NOW
        )

    @property
    def pipeline(self) -> TransferPipeline:
        return TransferPipeline(
            storage=self.storage,
            ledger=self.ledger,
            registry=self.registry,
            key_reader=self.vault,
            minimum_suite_id=self.minimum_suite_id,
            worker_name="worker-1",
            reservations=KeyReservations(self.registry, self.dependencies, minimum_suite_id=self.minimum_suite_id),
            trail=self.trail,
            now=lambda: NOW,
        )

    def run(self, **changes: object) -> TransferResult:
        return self.pipeline.run(make_request(**changes), self.context)

    @property
    def context(self) -> JobContext:
        return JobContext(checkpoints=self.checkpoints, sealer=MemorySealer(), monotonic=time.monotonic)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def finished(office: Office) -> Office:
    """Alice's container for bob stands in the data bucket."""
    office.place(make_container(MODEL, recipients=("bob", "alice")))
    return office


def decrypt(office: Office, **changes: object) -> TransferResult:
    return office.run(**(DECRYPTION | changes))


def test_encrypt(office: Office) -> None:
    """A container in the place of the transfer, signed by the sender, wrapped to the recipients; its result tells."""
    result = office.run(recipients=("bob", "carol"), metadata={"round": "7"})
    manifest = read_manifest(office.own_container)
    assert (manifest.body.sender, manifest.body.metadata) == ("alice", {"round": "7"})
    assert manifest.body.created_at == "2026-03-01T12:00:00Z"
    assert manifest.signing_key == make_identity("alice").signing.public_key
    envelope = read_envelope(office.own_container).envelope
    assert list(envelope.recipient_key_ids) == [make_identity(name).kem.public_key.key_id for name in ("bob", "carol")]
    assert (result.plaintext_length, result.envelope_epoch) == (len(MODEL), 1)
    assert result.ciphertext_length == office.own_container.find(PAYLOAD_NAME).size_bytes


@pytest.mark.parametrize("model", [b"", b"x", MODEL])
def test_decrypt(office: Office, model: bytes) -> None:
    """What was encrypted comes out at the destination, also nothing and one byte."""
    office.site.put("model", model)
    office.run()
    office.record(TransferState.COMPLETED)
    result = decrypt(office, transfer_id=OTHER_TRANSFER_ID)
    assert office.storage.folders["results"].get("model") == model
    assert (result.location, result.plaintext_length) == ("s3://results/model", len(model))


def test_rewrap(finished: Office) -> None:
    """The next epoch, for the new recipients; payload and manifest are the same bytes."""
    before = dict(finished.own_container.objects)
    result = finished.run(transfer_id=OTHER_TRANSFER_ID, kind="rewrap", source=CONTAINER, recipients=("carol",))
    envelope = read_envelope(finished.own_container).envelope
    assert result.envelope_epoch == envelope.body.epoch == 2
    assert list(envelope.recipient_key_ids) == [make_identity("carol").kem.public_key.key_id]
    for name in (PAYLOAD_NAME, MANIFEST_NAME):
        assert finished.own_container.objects[name] == before[name]


def test_a_rewrap_can_be_repeated(finished: Office) -> None:
    """A message may come twice: the second time all is as asked for, also for a rewrapper that is no recipient now."""
    asked = {"transfer_id": OTHER_TRANSFER_ID, "kind": "rewrap", "source": CONTAINER, "recipients": ("carol",)}
    first = finished.run(**asked)
    envelope = finished.own_container.get(ENVELOPE_NAME)
    assert finished.run(**asked) == first
    assert finished.own_container.get(ENVELOPE_NAME) == envelope


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (TransferState.SUBMITTED, "NotReady"),
        (TransferState.RUNNING, "NotReady"),
        (TransferState.FAILED, "TransferEnded"),
        (TransferState.CANCELLED, "TransferEnded"),
    ],
)
@pytest.mark.parametrize("kind", ["decrypt", "verify", "rewrap"])
def test_only_a_completed_transfer_has_a_container(
    finished: Office, state: TransferState, code: str, kind: str
) -> None:
    """What an attempt left in the place, whole or not, is not read."""
    finished.record(state)
    fields = DECRYPTION if kind == "decrypt" else {"kind": kind, "source": CONTAINER}
    with pytest.raises(PqtransferError) as caught:
        finished.run(**{"transfer_id": OTHER_TRANSFER_ID, **fields})
    assert caught.value.code == code
    assert "results" not in finished.storage.folders


def test_verify(finished: Office) -> None:
    """Needs no secret: nobody's role is taken."""
    finished.vault.secrets.clear()
    result = finished.run(transfer_id=OTHER_TRANSFER_ID, kind="verify", source=CONTAINER, recipients=())
    assert (result.part_count, result.location) == (1, finished.own_container.locate(""))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("ParticipantUnknown", {"recipients": ("nobody",)}),
        ("ParticipantUnknown", {"sender": "nobody"}),
        ("BucketNotOfSender", {"sender": "carol"}),  # keeps its own keys: workers do nothing for it
        ("BucketNotOfSender", {"sender": "bob"}),
        ("BucketNotOfSender", {"source": "s3://results/model"}),
        ("BucketNotOfSender", {"source": "s3://sites/model"}),
        ("BucketNotOfSender", {"source": "s3://models/sources/model"}),  # the data bucket counts as any other
        ("UnknownSuite", {"suite": "PQT-9"}),
        ("ObjectMissing", {"source": "s3://site/nothing"}),
        ("SourceSize", {"expected_size_bytes": len(MODEL) + 1}),
        ("SourceSize", {"expected_size_bytes": len(MODEL) - 1}),
        ("SourceSize", {"expected_size_bytes": 0}),
        ("SourceDigest", {"expected_sha256": "A" * 43 + "="}),
        ("CloudAccessDenied", {"source": "s3://denied/model"}),
        ("UploadNotForWorkers", {"kind": "upload", "source": None}),
        ("NotAModel", {"source": f"{CONTAINER}payload"}),
        ("InvalidKey", {"recipients": ("dave",)}),  # has PQT-2 keys, which fit no PQT-1 envelope
        ("InvalidKey", {"suite": "PQT-2"}),
    ],
)
def test_what_cannot_be_encrypted(office: Office, code: str, changes: dict[str, object]) -> None:
    """A named reason; nothing stands under a final name, and nothing is uploaded that could be known to be in vain."""
    office.storage.denied.add("denied")
    with pytest.raises(PqtransferError) as caught:
        office.run(**changes)
    assert caught.value.code == code
    assert not office.own_container.objects
    assert code == "SourceDigest" or not office.own_container.uploads


def test_the_announced_size_and_hash_are_accepted(office: Office) -> None:
    """When they are right."""
    digest = hashlib.sha256(MODEL).digest()
    office.run(expected_size_bytes=len(MODEL), expected_sha256=digest)
    assert read_manifest(office.own_container).body.plaintext_sha256 == digest


def test_an_empty_source_is_larger_than_announced_or_smaller(office: Office) -> None:
    """Nothing is something when another size was announced."""
    office.site.put("model", b"")
    with pytest.raises(PqtransferError, match="smaller than the 5 that were announced"):
        office.run(expected_size_bytes=5)


def test_a_suite_under_the_minimum_is_refused(office: Office) -> None:
    """Before anything is read."""
    office.minimum_suite_id = "PQT-2"
    with pytest.raises(PqtransferError) as caught:
        office.run()
    assert caught.value.code == "WeakSuite"
    assert office.site.reads == []


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NotARecipient", {"sender": "dave", "recipients": ("dave",)}),
        ("BucketNotOfSender", {"sender": "carol", "recipients": ("carol",)}),
        ("BucketNotOfSender", {"sender": "alice", "recipients": ("alice",)}),
        ("BucketNotOfSender", {"destination": "s3://site/model"}),
        ("PlaintextInDataBucket", {"destination": f"{CONTAINER}plaintext"}),
        ("PlaintextInDataBucket", {"destination": "s3://models/model"}),
        ("ContainerElsewhere", {"source": f"s3://site/transfers/{TRANSFER_ID}/"}),
        ("ContainerElsewhere", {"source": "s3://models/secrets/"}),
        ("TransferNotFound", {"source": f"s3://models/transfers/{OTHER_TRANSFER_ID}/"}),
        ("CloudAccessDenied", {"destination": "s3://denied/model"}),
        ("ParticipantUnknown", {"sender": "nobody", "recipients": ("nobody",)}),
    ],
)
def test_what_cannot_be_decrypted(finished: Office, code: str, changes: dict[str, object]) -> None:
    """A named reason; nothing stands under the destination's name."""
    finished.storage.denied.add("denied")
    finished.place(make_container(MODEL, recipients=("bob", "alice", "carol")))
    with pytest.raises(PqtransferError) as caught:
        decrypt(finished, transfer_id=OTHER_TRANSFER_ID, **changes)
    assert caught.value.code == code
    assert not finished.storage.folders.get("results", InMemoryFolder()).objects


@pytest.mark.parametrize(
    ("sender", "bucket", "changes"),
    [
        ("bob", "site", {"sender": "bob"}),  # alice's model, for bob
        ("alice", "results", {**DECRYPTION, "sender": "alice", "recipients": ("alice",)}),  # into bob's results
        ("carol", "site", {"sender": "carol"}),
    ],
)
def test_a_bucket_is_used_only_for_whom_it_is_registered(
    finished: Office, sender: str, bucket: str, changes: dict[str, object]
) -> None:
    """The worker could, so it must not: nothing is read, not even a key; the reason says how to mend it."""
    finished.storage.folders.clear()
    finished.vault.secrets.clear()
    with pytest.raises(BucketNotOfSenderError) as caught:
        finished.run(**{"transfer_id": OTHER_TRANSFER_ID, **changes})
    assert isinstance(caught.value, AccessError)
    assert f"bucket {bucket} is not among those that workers may use for {sender};" in str(caught.value)
    mend = (
        "where these keys are" if sender == "carol" else f"pqtransfer participants add NAME --managed --bucket {bucket}"
    )
    assert mend in str(caught.value)
    assert finished.storage.folders == {}  # none was even looked at


def test_a_model_in_the_data_bucket(office: Office) -> None:
    """Beside the containers, for a sender that is registered with this bucket."""
    office.add(make_identity("erin"), buckets=("models",))
    office.storage.site("models").put("sources/model", MODEL)  # type: ignore[attr-defined]
    assert office.run(sender="erin", source="s3://models/sources/model").plaintext_length == len(MODEL)


def test_no_key_that_its_participant_keeps(finished: Office) -> None:
    """A worker changes no envelope for an external participant."""
    finished.place(make_container(MODEL, recipients=("carol", "alice")))
    with pytest.raises(KeyNotStoredError, match="carol keeps its own"):
        finished.run(transfer_id=OTHER_TRANSFER_ID, kind="rewrap", source=CONTAINER, sender="carol")


def signed_by_a_stranger(container: Container) -> Container:
    """Alice's name, a key that the registry does not know."""
    return make_container(MODEL, sender="alice", suite_id="PQT-2", recipients=("bob",))


def damaged(container: Container) -> Container:
    return container.with_payload(lambda payload: bytes([payload[0] ^ 1]) + payload[1:])


def cut(container: Container) -> Container:
    return container.with_payload(lambda payload: payload[:-1])


def of_another_sender(container: Container) -> Container:
    """A whole container of the same transfer, validly signed by somebody who is registered too."""
    return make_container(MODEL, sender="carol", recipients=("bob",))


def with_another_envelope(container: Container) -> Container:
    other = make_container(MODEL, transfer_id=OTHER_TRANSFER_ID, recipients=("bob", "alice"))
    return Container(container.payload, container.manifest_json, other.envelope_json)


def torn_manifest(container: Container) -> Container:
    return Container(container.payload, container.manifest_json[:-1], container.envelope_json)


@pytest.mark.parametrize(
    ("harm", "code", "kind"),
    [
        (signed_by_a_stranger, "KeyNotFound", "decrypt"),
        (signed_by_a_stranger, "KeyNotFound", "verify"),
        (signed_by_a_stranger, "KeyNotFound", "rewrap"),
        (of_another_sender, "WrongSender", "decrypt"),
        (of_another_sender, "WrongSender", "verify"),
        (of_another_sender, "WrongSender", "rewrap"),
        (damaged, "DamagedPart", "decrypt"),
        (damaged, "DamagedPart", "verify"),
        (cut, "DamagedPayload", "decrypt"),
        (cut, "DamagedPayload", "verify"),
        (with_another_envelope, None, "decrypt"),
        (with_another_envelope, None, "rewrap"),
        (torn_manifest, "MalformedDocument", "decrypt"),
        (torn_manifest, "MalformedDocument", "verify"),
        (torn_manifest, "MalformedDocument", "rewrap"),
    ],
)
def test_a_container_that_is_not_right(
    finished: Office, harm: Callable[[Container], Container], code: str | None, kind: str
) -> None:
    """Found by every kind that touches what is wrong; nothing is written."""
    finished.place(harm(make_container(MODEL, recipients=("bob", "alice"))))
    before = dict(finished.own_container.objects)
    fields: dict[str, object] = {
        "decrypt": {"destination": "s3://results/model", "sender": "bob", "recipients": ("bob",)},
        "verify": {"recipients": ()},
        "rewrap": {"recipients": ("carol",)},
    }[kind]
    with pytest.raises(PqtransferError) as caught:
        finished.run(transfer_id=OTHER_TRANSFER_ID, kind=kind, source=CONTAINER, **fields)
    assert code in (None, caught.value.code)
    assert finished.own_container.objects == before
    assert not finished.storage.folders.get("results", InMemoryFolder()).objects


def test_discarding_an_encryption(office: Office) -> None:
    """No upload and no checkpoint is left."""
    with pytest.raises(PqtransferError):
        office.run(expected_sha256="A" * 43 + "=")
    assert len(office.own_container.uploads) == 1
    office.pipeline.discard(make_request(), office.context)
    assert office.own_container.uploads == {}
    assert office.checkpoints.load(TRANSFER_ID) is None


def test_discarding_a_decryption(finished: Office) -> None:
    """Likewise at the destination."""
    finished.place(damaged(make_container(MODEL)))
    with pytest.raises(PqtransferError):
        finished.run(**DECRYPTION)
    assert len(finished.storage.folders["results"].uploads) == 1
    finished.pipeline.discard(make_request(**DECRYPTION), finished.context)
    assert finished.storage.folders["results"].uploads == {}
    assert finished.checkpoints.load(TRANSFER_ID) is None
