"""What a client puts on record before it counts: sending, receiving, cancelling; and what happens when it cannot."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pqtransfer.audit.events import EventKind, Severity
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.holder import LocalKeyHolder, ManagedKeyHolder
from pqtransfer.keys.in_memory import InMemoryKeyRegistry, InMemoryVault
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import Participant, ParticipantKind, RegisteredParticipant, make_key_versions
from pqtransfer.sdk.client import Client
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME
from pqtransfer.transfers.ledger import IllegalStepError, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferRequest
from tests.containers import TRANSFER_ID, make_container, make_identity
from tests.fakes.folders import InMemoryFolder
from tests.fakes.ledgers import InMemoryLedger
from tests.fakes.trails import FailingAuditTrail, InMemoryAuditTrail
from tests.ocsf import require_all_ocsf

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CALLER = "arn:aws:sts::123456789012:assumed-role/recipient/jo"
MODEL = b"a model that was sent"
RECEIVED = ["manifest.verify", "envelope.verify", "key.use", "envelope.open", "model.decrypt", "transfer.receive"]


@dataclass(frozen=True)
class FakeDeployment:
    minimum_suite: str = "PQT-1"


@dataclass
class FakeQueue:
    sent: list[str] = field(default_factory=list)

    def send(self, body: str) -> None:
        self.sent.append(body)


class Site:
    """A client whose deployment is in memory; alice has sent a model to bob, who is managed."""

    def __init__(self, directory: Path) -> None:
        self.registry, self.vault = InMemoryKeyRegistry(), InMemoryVault()
        self.ledger, self.queue, self.trail = InMemoryLedger(), FakeQueue(), InMemoryAuditTrail()
        self.folder = InMemoryFolder()
        for name in ("alice", "bob"):
            self._add(make_identity(name))
        self.request = TransferRequest(
            transfer_id=TRANSFER_ID, kind="encrypt", source="s3://site/model", sender="alice",  # type: ignore[arg-type]
            recipients=("bob",), correlation_id="round-7",
        )  # fmt: skip
        self.record(TransferState.COMPLETED)
        container = make_container(MODEL, recipients=("bob",))
        self.folder.put(PAYLOAD_NAME, container.payload)
        self.folder.put(MANIFEST_NAME, container.manifest_json)
        self.folder.put(ENVELOPE_NAME, container.envelope_json)
        self.out = directory / "model"

    def _add(self, identity: PrivateIdentity) -> None:
        name, role = identity.participant, f"role/{identity.participant}"
        keys = make_key_versions(
            identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW,
            secret_ids=(f"{name}/kem", f"{name}/signing"),
        )  # fmt: skip
        participant = Participant(name=name, kind=ParticipantKind.MANAGED, created_at=NOW, role_arn=role)
        self.registry.add(RegisteredParticipant(participant=participant, keys=keys))
        for key, private in zip(keys, (identity.kem, identity.signing), strict=True):
            self.vault.store(key, private, role_arn=role)

    def record(self, state: TransferState) -> None:
        self.ledger.records[TRANSFER_ID] = TransferRecord(
            request=self.request, state=state, submitted_at=NOW, changed_at=NOW
        )

    @property
    def client(self) -> Client:
        client: Any = Client(FakeDeployment(), None, self.out.parent)  # type: ignore[arg-type]
        vars(client).update(
            ledger=self.ledger, registry=self.registry, queue=self.queue, trail=self.trail, caller=CALLER,
            container=lambda _id: self.folder,
        )  # fmt: skip
        return client

    def holder(self, name: str) -> ManagedKeyHolder:
        return ManagedKeyHolder(name, self.registry, self.vault, "session")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def actions(site: Site) -> list[str]:
    return [each.action for each in site.trail.facts]


@pytest.mark.requirement("D7.1", "D7.2", "S4.5")
def test_receiving_tells_its_story(site: Site) -> None:
    """Who read it, who AWS says called, with which key through which role, under the correlation id of the sender."""
    site.client.receive(TRANSFER_ID, reader=site.holder("bob"), out=site.out)
    assert site.out.read_bytes() == MODEL
    assert actions(site) == RECEIVED
    require_all_ocsf(site.trail.events)
    for each in site.trail.facts:
        assert (each.actor, each.correlation_id, each.details["caller"]) == ("bob", "round-7", CALLER)
    kem = make_identity("bob").kem.public_key.key_id
    assert (site.trail.find("key.use").key_id, site.trail.find("key.use").details["role"]) == (kem, "role/bob")
    assert site.trail.find("envelope.open").key_id == kem
    assert site.trail.find("transfer.receive").size_bytes == len(MODEL)
    assert site.trail.find("transfer.receive").details["sender"] == "alice"


def test_a_participant_with_its_own_keys(site: Site) -> None:
    """Its keys are read through no role; what is done with them is on record."""
    site.client.receive(TRANSFER_ID, reader=LocalKeyHolder(make_identity("bob")), out=site.out)
    assert actions(site) == [each for each in RECEIVED if each != "key.use"]


@pytest.mark.requirement("D7.1")
@pytest.mark.parametrize("refused", range(1, 6))
def test_nothing_is_received_that_is_not_on_record(site: Site, refused: int) -> None:
    """Whichever event finds the log closed: no file under its name; the same call again goes on."""
    site.trail = FailingAuditTrail(refused)
    with pytest.raises(AuditUnavailableError):
        site.client.receive(TRANSFER_ID, reader=site.holder("bob"), out=site.out)
    assert not site.out.exists()
    site.client.receive(TRANSFER_ID, reader=site.holder("bob"), out=site.out)
    assert site.out.read_bytes() == MODEL
    assert site.trail.actions["transfer.receive"] == 1


@pytest.mark.requirement("D7.3")
@pytest.mark.parametrize(
    ("attack", "reader", "operation", "code", "severity"),
    [
        ("payload", "bob", "model.decrypt", "DamagedPart", Severity.HIGH),
        ("manifest", "bob", "manifest.verify", "InvalidSignature", Severity.HIGH),
        ("nothing", "alice", "envelope.open", "NotARecipient", Severity.MEDIUM),
        ("sender", "bob", "manifest.verify", "WrongSender", Severity.HIGH),
    ],
)
def test_what_is_refused_is_an_event_and_a_finding(
    site: Site, attack: str, reader: str, operation: str, code: str, severity: Severity
) -> None:
    """Tampered with, of somebody else, or not for the reader."""
    if attack == "payload":
        site.folder.put(PAYLOAD_NAME, site.folder.get(PAYLOAD_NAME)[:-1] + b"!")
    if attack == "manifest":
        site.folder.put(MANIFEST_NAME, site.folder.get(MANIFEST_NAME).replace(b'"alice"', b'"alicf"'))
    sender = "carol" if attack == "sender" else None
    with pytest.raises(PqtransferError) as raised:
        site.client.receive(TRANSFER_ID, reader=site.holder(reader), out=site.out, sender=sender)
    assert raised.value.code == code
    require_all_ocsf(site.trail.events)
    refused = [each for each in site.trail.facts if not each.succeeded]
    assert [each.action for each in refused] == [operation, "transfer.receive", "violation.detect"]
    assert {each.actor for each in refused} == {reader}
    (finding,) = [each for each in refused if each.kind is EventKind.SECURITY]
    assert (finding.severity, finding.details["code"]) == (severity, code)
    assert not site.out.exists()


def test_submitting_is_on_record_before_the_queue_has_it(site: Site) -> None:
    """With the key that signs; when it cannot be recorded, nothing was submitted."""
    site.ledger.records.clear()
    site.trail = FailingAuditTrail(2)
    with pytest.raises(AuditUnavailableError):
        site.client.submit(site.request, signer=site.holder("alice"))
    assert (site.ledger.records, site.queue.sent) == ({}, [])
    site.client.submit(site.request, signer=site.holder("alice"))
    assert len(site.queue.sent) == 1
    assert actions(site)[-2:] == ["key.use", "transfer.submit"]
    submitted = site.trail.find("transfer.submit")
    assert submitted.key_id == make_identity("alice").signing.public_key.key_id
    assert (submitted.actor, submitted.details["recipients"], submitted.details["caller"]) == ("alice", "bob", CALLER)
    require_all_ocsf(site.trail.events)


def test_cancelling_is_on_record(site: Site) -> None:
    """By whom AWS takes the caller for; also a try that comes too late."""
    site.record(TransferState.RUNNING)
    site.client.cancel(TRANSFER_ID)
    assert site.ledger.records[TRANSFER_ID].state is TransferState.CANCELLED
    cancelled = site.trail.find("transfer.cancel")
    assert (cancelled.actor, cancelled.correlation_id, cancelled.succeeded) == (CALLER, "round-7", True)
    site.record(TransferState.COMPLETED)
    with pytest.raises(IllegalStepError):
        site.client.cancel(TRANSFER_ID)
    assert not site.trail.facts[-1].succeeded
    require_all_ocsf(site.trail.events)


def test_what_cannot_be_recorded_is_not_cancelled(site: Site) -> None:
    """The transfer goes on."""
    site.record(TransferState.RUNNING)
    site.trail = FailingAuditTrail(1)
    with pytest.raises(AuditUnavailableError):
        site.client.cancel(TRANSFER_ID)
    assert site.ledger.records[TRANSFER_ID].state is TransferState.RUNNING
