"""What a worker puts on record: every decision, operation and end, before it counts, with who, what, key and suite."""

import io
import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from pqtransfer.audit.events import AuditFacts, EventKind, Severity
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.registry import find_signing_key
from pqtransfer.transfers.container import read_envelope, read_manifest
from pqtransfer.transfers.folder import ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME, SourceChangedError
from pqtransfer.transfers.ledger import TransferState
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import read_signed_request, sign_request
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, make_container, make_identity
from tests.fakes.folders import PlainSealer
from tests.fakes.trails import FailingAuditTrail, InMemoryAuditTrail
from tests.ocsf import require_all_ocsf
from tests.unit.transfer_worker.conftest import LEASE_SECONDS, MAX_RECEIVES, Fleet, make_request
from tests.unit.transfer_worker.test_loop import UNAVAILABLE, work_until_stopped
from tests.unit.transfer_worker.test_pipeline import CONTAINER, DECRYPTION, MODEL, Office
from transfer_worker.audit import UNAUTHENTICATED, describe_attempt
from transfer_worker.hold import ShutdownError
from transfer_worker.loop import Worker

ALICE, BOB = make_identity("alice"), make_identity("bob")
UNRECORDED = AuditUnavailableError("the queue does not answer")
REWRAP = {"transfer_id": OTHER_TRANSFER_ID, "kind": "rewrap", "source": CONTAINER, "recipients": ("carol",)}
VERIFY = {"transfer_id": OTHER_TRANSFER_ID, "kind": "verify", "source": CONTAINER, "recipients": ()}
DECRYPT = {"transfer_id": OTHER_TRANSFER_ID, **DECRYPTION}

WHOLE_TRANSFER = [
    "request.accept", "transfer.claim", "bucket.use", "key.use", "data-key.create", "model.encrypt", "manifest.sign",
    "envelope.wrap", "transfer.complete",
]  # fmt: skip


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def finished(office: Office) -> Office:
    """Alice's container for bob stands in the data bucket."""
    office.place(make_container(MODEL, recipients=("bob", "alice")))
    return office


@pytest.fixture
def works(fleet: Fleet, office: Office) -> Fleet:
    """Workers that run real transfers: alice's signed request for bob waits on the queue."""
    fleet.queue.messages.clear()
    fleet.queue.send(sign_request(make_request(), ALICE.signing))
    office.trail = fleet.trail
    fleet.pipeline = office.pipeline  # type: ignore[assignment]
    fleet.checkpoints, fleet.sealer = office.checkpoints, PlainSealer()
    fleet.read_request = partial(  # type: ignore[method-assign]
        read_signed_request, find_signing_key=partial(find_signing_key, registry=office.registry)
    )
    return fleet


def actions(trail: InMemoryAuditTrail) -> list[str]:
    return [each.action for each in trail.facts]


def require_same_story(facts: list[AuditFacts], *, actor: str, correlation_id: str) -> None:
    """Everything was done by one actor under one correlation id, and says which worker and transfer."""
    for each in facts:
        assert (each.actor, each.correlation_id) == (actor, correlation_id), each
        assert each.details["worker"] == "worker-1"
        assert "attempt" in each.details


@pytest.mark.requirement("D7.1", "D7.2", "S4.1")
def test_a_whole_transfer_tells_its_story(works: Fleet, office: Office) -> None:
    """Who asked, that it was allowed, which key was used through which role, each operation, and what came of it."""
    works.handle_next()
    assert works.record.state is TransferState.COMPLETED
    assert actions(works.trail) == WHOLE_TRANSFER
    require_all_ocsf(works.trail.events)
    require_same_story(works.trail.facts, actor="alice", correlation_id="c")
    manifest, envelope = read_manifest(office.own_container), read_envelope(office.own_container).envelope
    signing_key_id, recipient = ALICE.signing.public_key.key_id, BOB.kem.public_key.key_id
    find = works.trail.find
    assert find("request.accept").key_id == signing_key_id
    used = find("key.use")
    assert (used.key_id, used.suite, used.details["purpose"]) == (signing_key_id, "PQT-1", "signing")
    assert used.details["role"].endswith(":role/alice")
    assert used.details["session"] == "worker-1"
    assert find("data-key.create").suite == "PQT-1"
    assert find("model.encrypt").details["composite_sha256"] == manifest.body.composite_sha256.hex()
    assert find("manifest.sign").key_id == signing_key_id
    wrapped = find("envelope.wrap")
    assert (wrapped.key_id, wrapped.suite, wrapped.details["epoch"]) == (signing_key_id, "PQT-1", "1")
    assert wrapped.details["recipient_keys"] == recipient[:16] == envelope.recipient_key_ids[0][:16]
    done = find("transfer.complete")
    assert (done.size_bytes, done.sha256) == (len(MODEL), manifest.body.composite_sha256.hex())
    assert (done.details["sender"], done.details["recipients"]) == ("alice", "bob")
    assert (done.details["source"], done.details["attempt"]) == ("s3://site/model", "1")


@pytest.mark.requirement("D7.1")
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (DECRYPT, ["bucket.use", "manifest.verify", "envelope.verify", "key.use", "envelope.open", "model.decrypt"]),
        (
            REWRAP,
            ["manifest.verify", "key.use", "envelope.verify", "key.use", "envelope.open", "envelope.rewrap"],
        ),
        (VERIFY, ["manifest.verify", "envelope.verify", "payload.verify"]),
    ],
    ids=["decrypt", "rewrap", "verify"],
)
def test_the_other_kinds_tell_theirs(finished: Office, asked: dict[str, Any], told: list[str]) -> None:
    """With the key of each operation; on the container that it was done to, not on the job."""
    finished.run(**asked)
    assert actions(finished.trail) == told
    require_all_ocsf(finished.trail.events)
    require_same_story(finished.trail.facts, actor=asked.get("sender", "alice"), correlation_id="c")
    find = finished.trail.find
    assert find("manifest.verify").key_id == ALICE.signing.public_key.key_id
    for each in finished.trail.facts:
        assert each.details["transfer"] == OTHER_TRANSFER_ID
        if each.kind is EventKind.CRYPTOGRAPHY:
            assert (each.target.type, each.target.id, each.suite) == ("transfer", TRANSFER_ID, "PQT-1")
    if asked is DECRYPT:
        assert find("envelope.open").key_id == BOB.kem.public_key.key_id == find("key.use").key_id
        assert find("bucket.use").target.id == "results"
    if asked is REWRAP:
        assert find("envelope.rewrap").details["epoch"] == "2"


def tamper(office: Office, name: str, change: Callable[[bytes], bytes]) -> None:
    office.own_container.put(name, change(office.own_container.get(name)))


def forge_envelope(office: Office, signer: str) -> None:
    """An envelope of the same transfer, wrapped and validly signed by somebody else, with another data key."""
    forged = make_container(MODEL, sender=signer, recipients=("bob",)).envelope_json
    office.own_container.put(ENVELOPE_NAME, forged)


def revoke_bobs_key(office: Office) -> None:
    (key,) = [key for key in office.registry.load("bob").keys if key.key_id == BOB.kem.public_key.key_id]
    office.registry.change_state([key], KeyState.REVOKED, at=key.created_at)


def mix_up_secrets(office: Office) -> None:
    role, _ = office.vault.secrets["bob/kem"]
    office.vault.secrets["bob/kem"] = (role, ALICE.kem)


ATTACKS: dict[str, tuple[Callable[[Office], object], dict[str, Any], str | None, str]] = {
    "payload tampered": (
        lambda office: tamper(office, PAYLOAD_NAME, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        VERIFY, "payload.verify", "DamagedPart",
    ),
    "payload tampered, decrypted": (
        lambda office: tamper(office, PAYLOAD_NAME, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        DECRYPT, "model.decrypt", "DamagedPart",
    ),
    "manifest tampered": (
        lambda office: tamper(office, MANIFEST_NAME, lambda data: data.replace(b'"alice"', b'"alicf"')),
        VERIFY, "manifest.verify", "InvalidSignature",
    ),
    "manifest of another sender": (
        lambda office: office.place(make_container(MODEL, sender="bob", recipients=("bob",))),
        DECRYPT, "manifest.verify", "WrongSender",
    ),
    "envelope of a participant": (
        lambda office: forge_envelope(office, "bob"), DECRYPT, "envelope.open", "DamagedEnvelope",
    ),
    "envelope of a stranger": (
        lambda office: forge_envelope(office, "eve"), DECRYPT, "envelope.verify", "ParticipantUnknown",
    ),
    "not a recipient": (
        lambda _: None, DECRYPT | {"sender": "dave", "recipients": ("dave",)}, "envelope.open", "NotARecipient",
    ),
    "bucket of another": (lambda _: None, {"sender": "bob"}, "bucket.use", "BucketNotOfSender"),
    "revoked key": (revoke_bobs_key, DECRYPT, None, "KeyNotUsable"),
    "another key in the vault": (mix_up_secrets, DECRYPT, "key.use", "StoredKeyMismatch"),
}  # fmt: skip


@pytest.mark.requirement("D7.1", "D7.3")
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_refusal_is_an_event_and_a_finding(fleet: Fleet, finished: Office, attack: str) -> None:
    """The operation that was refused, the transfer that failed, and a finding of the class that detections have."""
    prepare, asked, operation, code = ATTACKS[attack]
    prepare(finished)
    finished.trail = fleet.trail
    fleet.pipeline, fleet.checkpoints = finished.pipeline, finished.checkpoints  # type: ignore[assignment]
    fleet.queue.messages.clear()
    request = make_request(**({"transfer_id": OTHER_TRANSFER_ID} | asked))
    fleet.queue.send(request.to_json())
    fleet.handle_next()
    record = fleet.ledger.records[OTHER_TRANSFER_ID]
    assert record.failure is not None
    assert record.failure.code == code
    require_all_ocsf(fleet.trail.events)
    if operation is not None:
        refused = [each for each in fleet.trail.facts if each.action == operation and not each.succeeded]
        assert [each.reason and each.reason.startswith(f"{code}: ") for each in refused] == [True]
    failed = fleet.trail.find("transfer.fail")
    assert (failed.succeeded, failed.actor, failed.severity) == (False, request.sender, Severity.LOW)
    findings = [each for each in fleet.trail.facts if each.kind is EventKind.SECURITY]
    is_exchange = code == "DamagedEnvelope"
    assert {each.action for each in findings} == {"violation.detect", *(["key-exchange.fail"] if is_exchange else [])}
    assert {each.details["code"] for each in findings} == {code}
    assert all(each.severity >= Severity.MEDIUM for each in findings)


def test_a_mistake_is_no_finding(fleet: Fleet) -> None:
    """FAILED with its reason, and nobody is suspected."""
    fleet.pipeline.attempts = [SourceChangedError("s3://site/model")]
    fleet.handle_next()
    assert actions(fleet.trail) == ["request.accept", "transfer.claim", "transfer.fail"]
    assert "SourceChanged" in (fleet.trail.find("transfer.fail").reason or "")


@pytest.mark.requirement("D7.3")
@pytest.mark.parametrize(
    ("spoil", "code", "severity"),
    [
        (lambda: sign_request(make_request(), ALICE.signing).replace("bob", "eve"), "UntrustedRequest", Severity.HIGH),
        (lambda: sign_request(make_request(), BOB.signing), "KeyNotFound", Severity.MEDIUM),
        (lambda: sign_request(make_request(sender="eve"), ALICE.signing), "ParticipantUnknown", Severity.MEDIUM),
        (lambda: "not a request", "MalformedRequest", None),
        (lambda: make_request().to_json(), "MalformedRequest", None),
    ],
    ids=["changed", "signed by another", "of nobody", "no JSON", "not signed"],
)
def test_a_message_that_its_sender_did_not_sign(
    works: Fleet, spoil: Callable[[], str], code: str, severity: Severity | None
) -> None:
    """Refused by nobody's name: what the message claims stands among the details, and accuses no one."""
    works.queue.messages.clear()
    works.queue.send(spoil())
    works.handle_next()
    assert [failure.code for _, failure in works.queue.dead] == [code]
    require_all_ocsf(works.trail.events)
    refused = works.trail.find("request.accept")
    assert (refused.kind, refused.succeeded, refused.actor) == (EventKind.ACCESS, False, UNAUTHENTICATED)
    assert (refused.target.type, refused.details["code"]) == ("message", code)
    findings = [each.severity for each in works.trail.facts if each.kind is EventKind.SECURITY]
    assert findings == ([] if severity is None else [severity])
    if severity is None:
        assert refused.correlation_id.startswith("message-")
    else:
        assert refused.correlation_id == "c"
        assert refused.details["claimed_sender"] in ("alice", "eve")


def test_a_request_that_comes_again_is_refused(works: Fleet) -> None:
    """Replayed after its end: the decision is on record, and nothing runs."""
    message = works.queue.messages[0].body
    works.handle_next()
    works.queue.send(message)
    works.trail.facts.clear()
    works.handle_next("worker-2")
    again = works.trail.find("request.accept")
    assert (again.succeeded, again.actor, again.details["worker"]) == (False, "alice", "worker-2")
    assert "COMPLETED" in (again.reason or "")


def test_an_id_that_is_taken_is_refused(works: Fleet) -> None:
    """Denied, in the sender's own name: it has signed both."""
    works.queue.send(sign_request(make_request(recipients=("alice",)), ALICE.signing))
    works.handle_next()
    works.trail.facts.clear()
    works.handle_next()
    refused = works.trail.find("request.accept")
    assert (refused.actor, refused.succeeded) == ("alice", False)
    assert "TransferConflict" in (refused.reason or "")


def test_what_ends_an_attempt_but_no_transfer(fleet: Fleet) -> None:
    """An outage, a shutdown, and a successor: each says which attempt it was and why."""
    fleet.pipeline.attempts = [UNAVAILABLE, ShutdownError()]
    fleet.handle_next()
    fleet.clock.advance(600)
    fleet.handle_next()
    released = [each for each in fleet.trail.facts if each.action == "transfer.release"]
    assert [(each.details["attempt"], (each.reason or "").split(":")[0]) for each in released] == [
        ("1", "CloudUnavailable"),
        ("2", "Shutdown"),
    ]
    fleet.clock.advance(600)

    def freeze_then_work(request: TransferRequest, context: Any) -> Any:
        fleet.clock.advance(LEASE_SECONDS + 1)
        fleet.ledger.records[TRANSFER_ID] = fleet.record.model_copy(update={"owner": "worker-2", "attempt": 4})
        return work_until_stopped(request, context)

    fleet.pipeline.attempts = [freeze_then_work]
    fleet.handle_next()
    lost = fleet.trail.find("transfer.lose")
    assert (lost.details["attempt"], lost.details["state"], lost.succeeded) == ("3", "RUNNING", False)
    require_all_ocsf(fleet.trail.events)


def test_what_was_cancelled_meanwhile_is_lost(fleet: Fleet) -> None:
    """Who cancelled it has said so; the worker says that it lets go."""

    def be_cancelled(request: TransferRequest, context: Any) -> Any:
        fleet.ledger.cancel(TRANSFER_ID, at=fleet.clock.now())
        return work_until_stopped(request, context)

    fleet.pipeline.attempts = [be_cancelled]
    fleet.handle_next()
    assert fleet.trail.find("transfer.lose").details["state"] == "CANCELLED"
    assert fleet.queue.messages == []


def test_what_is_given_up(fleet: Fleet) -> None:
    """With the reason of the last attempt."""
    fleet.pipeline.attempts = [UNAVAILABLE] * 9
    for _ in range(MAX_RECEIVES + 1):
        fleet.handle_next()
        fleet.clock.advance(600)
    abandoned = fleet.trail.find("transfer.abandon")
    assert "ReceivedTooOften" in (abandoned.reason or "")
    assert "the store does not answer" in (abandoned.reason or "")
    require_all_ocsf(fleet.trail.events)


class WatchingTrail(InMemoryAuditTrail):
    """Notes what ledger, queue and store said when each event was recorded."""

    def __init__(self, fleet: Fleet, office: Office) -> None:
        super().__init__()
        self._fleet, self._office = fleet, office
        self.seen: dict[str, tuple[Any, ...]] = {}

    def record(self, *facts: AuditFacts) -> None:
        record = self._fleet.ledger.records.get(TRANSFER_ID)
        for each in facts:
            self.seen[each.action] = (
                record and record.state,
                len(self._fleet.queue.messages),
                sorted(self._office.own_container.objects),
                self._office.checkpoints.load(TRANSFER_ID) is not None,
            )
        super().record(*facts)


def test_every_event_is_there_before_what_it_is_about_counts(works: Fleet, office: Office) -> None:
    """The ledger runs, the message waits, the data key is in no checkpoint, the document not yet in the store."""
    office.trail = works.trail = watching = WatchingTrail(works, office)
    works.pipeline = office.pipeline  # type: ignore[assignment]
    works.handle_next()
    running = TransferState.RUNNING
    assert watching.seen["data-key.create"] == (running, 1, [], False)
    assert watching.seen["manifest.sign"] == (running, 1, [PAYLOAD_NAME], True)
    assert watching.seen["envelope.wrap"] == (running, 1, [MANIFEST_NAME, PAYLOAD_NAME], True)
    assert watching.seen["transfer.complete"] == (running, 1, [ENVELOPE_NAME, MANIFEST_NAME, PAYLOAD_NAME], True)


CALLS_OF_A_TRANSFER = 7
"""`record` is called this often for a whole transfer, whatever its size."""


def test_a_transfer_costs_a_handful_of_calls(works: Fleet, office: Office) -> None:
    """None of them for a part."""
    office.trail = works.trail = trail = FailingAuditTrail()
    works.pipeline = office.pipeline  # type: ignore[assignment]
    works.handle_next()
    assert trail.calls == CALLS_OF_A_TRANSFER


@pytest.mark.requirement("D7.1")
@pytest.mark.parametrize("refused", range(1, CALLS_OF_A_TRANSFER + 1))
def test_what_cannot_be_recorded_is_not_acknowledged(works: Fleet, office: Office, refused: int) -> None:
    """Whichever event finds the log closed: given back, no try counted, kept from nobody; later done, and done once."""
    office.trail = works.trail = FailingAuditTrail(*range(refused, refused + MAX_RECEIVES + 2))
    works.pipeline = office.pipeline  # type: ignore[assignment]
    for _ in range(MAX_RECEIVES + 2):
        with pytest.raises(AuditUnavailableError):
            works.handle_next()
        assert works.record.state is TransferState.RUNNING
        assert (works.record.tries, works.queue.dead, len(works.queue.messages)) == (0, [], 1)
        works.clock.advance(LEASE_SECONDS + 1)
    works.handle_next()
    assert works.record.state is TransferState.COMPLETED
    assert works.queue.messages == []
    assert read_manifest(office.own_container).body.plaintext_length == len(MODEL)
    assert works.trail.actions["data-key.create"] == 1
    assert works.trail.find("transfer.complete").details["attempt"] == str(MAX_RECEIVES + 3)
    assert len(office.own_container.written) == 1  # the one part was sent once


@pytest.mark.parametrize(
    "attempts",
    [[SourceChangedError("s3://site/model")], [UNAVAILABLE], [ShutdownError()]],
    ids=["fail", "retry", "stop"],
)
def test_an_end_that_cannot_be_recorded_has_not_come(fleet: Fleet, attempts: list[PqtransferError]) -> None:
    """It is found again by the next attempt, and recorded then."""
    fleet.trail = FailingAuditTrail(2)
    fleet.pipeline.attempts = list(attempts * 2)
    with pytest.raises(AuditUnavailableError):
        fleet.handle_next()
    assert (fleet.record.state, fleet.record.failure, fleet.record.tries) == (TransferState.RUNNING, None, 0)
    assert len(fleet.queue.messages) == 1
    fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    ended = fleet.trail.facts[-1]
    assert ended.action == ("transfer.fail" if fleet.record.state is TransferState.FAILED else "transfer.release")
    assert ended.details["attempt"] == "2"


def test_a_rejection_that_cannot_be_recorded_waits(works: Fleet) -> None:
    """The message is not among the dead before the refusal is on record."""
    works.queue.messages.clear()
    works.queue.send("no request")
    works.trail = FailingAuditTrail(1)
    with pytest.raises(AuditUnavailableError):
        works.handle_next()
    assert (works.queue.dead, len(works.queue.messages)) == ([], 1)
    works.clock.advance(LEASE_SECONDS + 1)
    works.handle_next()
    assert len(works.queue.dead) == 1


def test_giving_up_that_cannot_be_recorded_waits(fleet: Fleet) -> None:
    """The lease is given back, and the next worker gives up."""
    for number in range(MAX_RECEIVES):
        fleet.ledger.submit(make_request(), at=fleet.clock.now())
        until = fleet.clock.now() + timedelta(seconds=LEASE_SECONDS)
        fleet.ledger.claim(TRANSFER_ID, owner=f"dead-{number}", at=fleet.clock.now(), lease_expires_at=until)
        fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.trail = FailingAuditTrail(1)
    with pytest.raises(AuditUnavailableError):
        fleet.handle_next()
    assert (fleet.record.state, fleet.queue.dead) == (TransferState.RUNNING, [])
    fleet.clock.advance(LEASE_SECONDS + 1)
    fleet.handle_next()
    assert fleet.record.state is TransferState.FAILED
    assert fleet.trail.actions["transfer.abandon"] == 1


def test_a_closed_log_is_waited_out(works: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on when the log takes events again; the transfer is done."""
    monkeypatch.setattr("transfer_worker.loop.LONGEST_IDLE_SECONDS", 0.002)
    works.trail.failure = UNRECORDED
    turned, rounds = works.health.turned, itertools.count(1)

    def look(*, queue_reached: bool) -> None:
        turned(queue_reached=queue_reached)
        number = next(rounds)
        works.clock.advance(601)
        if number == 6:
            works.trail.failure = None
        if works.record.state is TransferState.COMPLETED:
            works.shutdown.request()

    works.health.turned = look  # type: ignore[method-assign]
    works.worker().run()
    assert works.record.state is TransferState.COMPLETED


@pytest.mark.requirement("S4.5")
def test_one_correlation_id_runs_through_events_and_logs(works: Fleet) -> None:
    """What the sender chose stands in every event and every line of the worker's log about the transfer."""
    works.queue.messages.clear()
    works.queue.send(sign_request(make_request(correlation_id="round-17:alice"), ALICE.signing))
    written = io.StringIO()
    parent = logging.getLogger("transfer-worker")
    handler = logging.StreamHandler(written)
    handler.setFormatter(parent.handlers[0].formatter)
    parent.addHandler(handler)
    try:
        works.handle_next()
    finally:
        parent.removeHandler(handler)
    assert {each.correlation_id for each in works.trail.facts} == {"round-17:alice"}
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["transfer begins", "transfer completed"]
    assert {line["correlation_id"] for line in lines} == {"round-17:alice"}


def test_the_largest_request_fits_into_its_events(works: Fleet) -> None:
    """A thousand recipients of the longest names, metadata to the limit: cut where it must be, and said so."""
    names = tuple(f"{number:04}{'n' * 44}" for number in range(1000))
    request = make_request(
        recipients=names,
        source="s3://site/" + "\u20ac" * 1000,
        metadata={"text": '"\\\u0001' * 5000},
        suite="\u20ac" * 32,
    )
    facts = describe_attempt(request, worker_name="worker-1", attempt=1)
    trail = InMemoryAuditTrail()
    trail.record(facts.claimed(), *facts.failed(PqtransferError("\ud800" + "\u20ac" * 5000)))
    require_all_ocsf(trail.events)
    claimed = trail.find("transfer.claim")
    assert claimed.details["recipients_count"] == "1000"
    assert len(claimed.details["recipients_sha256"]) == len(claimed.details["metadata_sha256"]) == 64
    assert claimed.suite is None


def test_a_worker_reads_who_it_is_from_its_name(works: Fleet) -> None:
    """Two workers tell their events apart."""
    worker: Worker = replace(works.worker("worker-1"), name="worker-9")
    worker.handle(works.receive())
    assert works.trail.find("transfer.claim").details["worker"] == "worker-9"
