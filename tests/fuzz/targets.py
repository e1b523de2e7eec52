"""The fuzz targets: one function for each thing that reads bytes of others, and the corpus that each starts from.

A target returns when its oracle holds: False when the input was refused with a `PqtransferError`, True when it was
taken and means what it should. Anything else (another exception, another plaintext, a second spelling) leaves it as an
error. The container is a committed vector, so that an input that was kept can be replayed.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from unittest.mock import patch

from functions.process_alerts.orders import read_order
from functions.renew_envelopes.pages import Page
from functions.respond_to_compromise.messages import read_go_on
from functions.respond_to_compromise.messages import read_report as read_compromise
from pqtransfer.audit.activity import Activity
from pqtransfer.audit.activity_file import read_activity, write_activity
from pqtransfer.audit.cef import write_cef
from pqtransfer.audit.checkpoints import Checkpoint, cosign, open_checkpoint, sign_checkpoint
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.events import AuditEvent, EventKind, read_event_header, read_logged_event
from pqtransfer.audit.findings import Finding, FindingKind, Report
from pqtransfer.audit.messages import pack_messages, unpack_message
from pqtransfer.audit.note_keys import NoteKey
from pqtransfer.audit.notes import Note
from pqtransfer.audit.positions import Gap, Numbering
from pqtransfer.audit.proofs import EntryProof
from pqtransfer.audit.published_keys import PublishedKeys
from pqtransfer.audit.sequencing import LogState
from pqtransfer.audit.tiles import encode_bundle, split_bundle
from pqtransfer.audit.tree import hash_leaf, hash_node
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.aws.audit_spool import SpoolFile
from pqtransfer.crypto import floe
from pqtransfer.crypto.canonical_json import encode_base64, read_canonical_json, write_canonical_json
from pqtransfer.crypto.envelope import ENVELOPE_CONTEXT, Envelope, open_envelope
from pqtransfer.crypto.floe import FloeCipher
from pqtransfer.crypto.identity import PrivateIdentity, PublicIdentity
from pqtransfer.crypto.key_backup import KeyBackup
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.manifest import MANIFEST_CONTEXT, SignedManifest
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.succession import Succession, sign_succession
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alerting import AlertRules
from pqtransfer.operations.channels import AddressRules, read_channels
from pqtransfer.operations.events import KnownEvent, read_event
from pqtransfer.operations.notifications import write_slack, write_topic_message
from pqtransfer.operations.signals import Signal
from pqtransfer.protection.incidents import CompromiseReported
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.signed_request import read_signed_request, sign_request
from tests.containers import Container, make_bytes, make_identity, open_container
from tests.unit.audit.cef_lines import read_cef
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS
from tests.unit.audit.samples import make_event, make_full_event
from tests.unit.operations.alert_samples import NOW as ALERT_TIME
from tests.unit.operations.alert_samples import ROUTES
from tests.unit.operations.event_samples import (
    make_alarm,
    make_alert,
    make_deployment,
    make_failure,
    make_guardduty,
    make_inspector,
    make_service_action,
    make_task,
)

Target: TypeAlias = Callable[[bytes], bool]

ALICE, BOB = make_identity("alice"), make_identity("bob")
PLAINTEXT = make_bytes("pqt-1-three-bytes plaintext", 3)
CONTAINER = Container.load(Path(__file__).resolve().parents[1] / "vectors" / "pqt-1-three-bytes")
MANIFEST = SignedManifest.from_json(CONTAINER.manifest_json).body
_KEY_BACKUPS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "key-backup.json").read_text())
_RECOVERY_KEY = PrivateKey(KeyPurpose.KEM, "PQT-2", SecretBytes(bytes.fromhex(_KEY_BACKUPS["recovery_seed"])))
_SUCCESSION = sign_succession(BOB, PrivateIdentity("bob", kem=ALICE.kem, signing=ALICE.signing).to_public()).to_json()
_REPORT = json.dumps(
    {
        "incident_id": "i-1",
        "participant": "bob",
        "key_ids": ["ab" * 32],
        "since": "2026-01-01T00:00:00Z",
        "reason": "stolen",
        "reported_by": "soc",
        "reported_at": "2026-01-02T00:00:00Z",
    }
).encode()
_PAGE = json.dumps({"key_id": "ab" * 32, "correlation_id": "c-1", "cursor": "recipient#x"}).encode()
FILES = ("payload", "manifest_json", "envelope_json")
SEGMENT_SIZE = 64
REQUEST = TransferRequest(
    transfer_id=MANIFEST.transfer_id,
    kind="encrypt",
    source="s3://site/model?versionId=1",
    sender="alice",
    recipients=("bob",),
    correlation_id="round-7",
    expected_sha256=bytes(32),
    metadata={"round": "7"},
)
_ACTIVITY = Activity(since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2027, 1, 1, tzinfo=UTC))
for _index, _kind in enumerate(EventKind):
    _ACTIVITY.add(_index, make_full_event(_kind))
ENTRIES = [make_event().to_json(), make_full_event(EventKind.ACCESS).to_json()]
CHECKPOINT = Checkpoint(ORIGIN, 2, hash_node(*map(hash_leaf, ENTRIES)))
CIPHER = FloeCipher(SecretBytes(bytes(32)), associated_data=b"", segment_size_bytes=SEGMENT_SIZE, iv=bytes(32))


def read_json(data: bytes) -> bool:
    """What is read is written the same way."""
    try:
        document = read_canonical_json(data, name="document", limit_bytes=1 << 20)
    except PqtransferError:
        return False
    assert write_canonical_json(document) == data, "two spellings of one document"
    return True


def read_public_key(data: bytes) -> bool:
    try:
        key = PublicKey.from_json(data)
    except PqtransferError:
        return False
    assert key.to_json() == data, "two documents for one key"
    return True


def read_private_key(data: bytes) -> bool:
    try:
        key = PrivateKey.from_json(SecretBytes(data))
        key.public_key.require_valid()
    except PqtransferError:
        return False
    assert key.to_json().reveal() == data, "two documents for one key"
    return True


def read_public_identity(data: bytes) -> bool:
    """An identity that is read is one that its owner signed: Bob's, or nobody's."""
    try:
        identity = PublicIdentity.from_json(data)
    except PqtransferError:
        return False
    assert (identity.participant, identity.kem) == ("bob", BOB.kem.public_key), "a forged identity"
    return True


def read_succession(data: bytes) -> bool:
    """A succession that Bob's key signed is the one that Bob made."""
    try:
        succession = Succession.from_json(data)
        succession.require_signer(BOB.signing.public_key)
    except PqtransferError:
        return False
    assert succession.to_json() == _SUCCESSION, "a forged succession"
    return True


def read_private_identity(data: bytes) -> bool:
    try:
        PrivateIdentity.from_json(SecretBytes(data)).to_public().require_valid()
    except PqtransferError:
        return False
    return True


def read_key_backup(data: bytes) -> bool:
    """A backup that opens holds the key that it names: one of the published ones, or nobody's."""
    try:
        backup = KeyBackup.from_json(data)
        assert backup.to_json() == data, "a second spelling"
        key = backup.open_with_recovery_key(_RECOVERY_KEY)
    except PqtransferError:
        return False
    assert key.public_key.key_id in {each["key_id"] for each in _KEY_BACKUPS["backups"]}, "a forged backup"
    return True


def read_manifest(data: bytes) -> bool:
    """A manifest that is read under Alice's key is the one that Alice signed."""
    try:
        manifest = SignedManifest.from_json(data)
        manifest.require_signer(ALICE.signing.public_key)
    except PqtransferError:
        return False
    assert manifest.body == MANIFEST, "a forged manifest"
    return True


def read_envelope(data: bytes) -> bool:
    try:
        envelope = Envelope.from_json(data)
        envelope.require_signer(ALICE.signing.public_key)
    except PqtransferError:
        return False
    assert data == CONTAINER.envelope_json, "a forged envelope"
    return True


def read_container(data: bytes) -> bool:
    """One of the three files is replaced (the first byte says which): the plaintext is the one, or there is none."""
    if not data:
        return False
    changed = replace(CONTAINER, **{FILES[data[0] % len(FILES)]: data[1:]})
    try:
        plaintext = open_container(changed, BOB.kem)
    except PqtransferError:
        return False
    assert plaintext == PLAINTEXT, "a wrong byte"
    return True


def read_hostile_manifest(data: bytes) -> bool:
    """The sender itself is hostile: any body, with a signature that holds."""
    signed = _sign(data, MANIFEST_CONTEXT)
    if signed is None:
        return False
    try:
        manifest = SignedManifest.from_json(signed)
        open_container(replace(CONTAINER, manifest_json=signed), BOB.kem)
    except PqtransferError:
        return False
    assert manifest.body.part_sha256 == MANIFEST.part_sha256, "a wrong byte"
    return True


def read_hostile_envelope(data: bytes) -> bool:
    """Who wrapped is hostile: any body, with a signature that holds, opened with keys of both suites."""
    signed = _sign(data, ENVELOPE_CONTEXT)
    if signed is None:
        return False
    try:
        open_envelope(Envelope.from_json(signed), MANIFEST, [make_identity("bob", "PQT-2").kem, BOB.kem, BOB.signing])
    except PqtransferError:
        return False
    body = json.loads(CONTAINER.envelope_json)["body"]
    assert json.loads(signed)["body"]["stanzas"] == body["stanzas"], "a list of recipients that nobody authenticated"
    return True


def read_segment(data: bytes) -> bool:
    """The first byte says inner or final; nobody else has the key, so only the one known segment is taken."""
    if not data:
        return False
    final, out = bool(data[0] & 1), bytearray(SEGMENT_SIZE)
    try:
        CIPHER.decrypt_segment_into(0, data[1:], memoryview(out), final=final)
    except PqtransferError:
        assert not any(out), "unauthenticated plaintext"
        return False
    assert (final, data[1:]) == (True, _SEGMENT), "a forged segment"
    return True


def read_floe_header(data: bytes) -> bool:
    try:
        FloeCipher.open(SecretBytes(bytes(32)), header=data, associated_data=b"", segment_size_bytes=SEGMENT_SIZE)
    except PqtransferError:
        return False
    assert data == CIPHER.header, "a forged header"
    return True


def read_message(data: bytes) -> bool:
    """Whoever can write to the queue: only what alice signed, to the byte, is run in her name."""
    try:
        request = read_signed_request(data.decode(), find_signing_key=lambda *_: ALICE.signing.public_key)
    except (PqtransferError, UnicodeDecodeError):
        return False
    assert request == REQUEST, "a forged request"
    return True


def read_request(data: bytes) -> bool:
    """A participant that signs anything: what is taken is written so that it reads the same."""
    try:
        request = TransferRequest.from_json(data)
    except PqtransferError:
        return False
    assert TransferRequest.from_json(request.to_json()) == request
    return True


def read_report(data: bytes) -> bool:
    """A report of a lost key from the bus, a message about an incident, a page of envelopes: each or none of them."""
    taken = False
    with suppress(PqtransferError, ValueError, RecursionError):
        reported = read_compromise(json.loads(data))
        assert CompromiseReported.model_validate_json(reported.model_dump_json()) == reported
        taken = True
    text = data.decode(errors="replace")
    with suppress(PqtransferError, RecursionError):
        taken = bool(read_go_on(text).incident_id) or taken
    with suppress(ValueError):
        taken = Page.model_validate_json(text) is not None or taken
    return taken


def read_audit_event(data: bytes) -> bool:
    """What is read is written the same way, and its header is the one that is found without reading it."""
    try:
        event = AuditEvent.from_json(data)
    except PqtransferError:
        return False
    assert event.to_json() == data, "two spellings of one event"
    assert read_event_header(data) == (event.producer, event.sequence, event.event_id), "a header of something else"
    return True


def read_logged_entry(data: bytes) -> bool:
    """What a log has signed, whatever it is: an event that is read in both ways is the same event."""
    try:
        event = read_logged_event(data)
    except PqtransferError:
        return False
    with suppress(PqtransferError):
        assert AuditEvent.from_json(data) == event, "two readings of one entry"
    return True


def read_audit_bundle(data: bytes) -> bool:
    """A bundle of three entries."""
    try:
        entries = split_bundle(data, path="bundle", width=3)
    except PqtransferError:
        return False
    assert encode_bundle(entries) == data, "bytes that belong to no entry"
    return True


def read_note(data: bytes) -> bool:
    try:
        note = Note.from_bytes(data)
    except PqtransferError:
        return False
    assert note.to_bytes() == data, "two spellings of one note"
    return True


def read_note_key(data: bytes) -> bool:
    try:
        key = NoteKey.from_text(data.decode())
    except (PqtransferError, UnicodeDecodeError):
        return False
    assert str(key).encode() == data, "two spellings of one key"
    return True


def read_checkpoint(data: bytes) -> bool:
    """A checkpoint that is believed is the one that the log and its witness signed."""
    try:
        signed = open_checkpoint(data, POLICY)
    except PqtransferError:
        return False
    assert signed.checkpoint == CHECKPOINT, "a forged checkpoint"
    return True


def read_audit_proof(data: bytes) -> bool:
    """An entry that is proven is in the log."""
    try:
        proof = EntryProof.from_bytes(data)
        proof.check(POLICY)
    except PqtransferError:
        return False
    assert proof.entry == ENTRIES[proof.index], "an entry that nobody logged"
    return True


def read_audit_state(data: bytes) -> bool:
    try:
        state = LogState.from_json(data)
    except PqtransferError:
        return False
    assert state.to_json() == data, "two spellings of one state"
    assert state.checkpoint.size == state.size
    return True


def write_cef_line(data: bytes) -> bool:
    """Whatever an event says, its CEF line is one line, and has the event's own id and actor."""
    try:
        event = AuditEvent.from_json(data)
    except PqtransferError:
        return False
    line = write_cef(event)
    head, fields = read_cef(line)
    assert (len(line.splitlines()), len(head), fields["externalId"]) == (1, 7, event.event_id), "a line that was broken"
    return True


def read_published_keys(data: bytes) -> bool:
    try:
        keys = PublishedKeys.from_json(data)
    except PqtransferError:
        return False
    assert PublishedKeys.from_policy(keys.to_policy()) == keys, "keys that were not published"
    return True


def read_trusted_log(data: bytes) -> bool:
    try:
        trusted = TrustedLog.from_bytes(data)
    except PqtransferError:
        return False
    assert trusted.to_bytes() == data, "two spellings of what was kept"
    return True


def read_check_cursor(data: bytes) -> bool:
    try:
        cursor = CheckCursor.from_bytes(data)
    except PqtransferError:
        return False
    assert cursor.to_bytes() == data, "two spellings of where a check has come to"
    return True


def read_report_activity(data: bytes) -> bool:
    """What is read is written, and read again, as the same."""
    try:
        activity = read_activity(data)
    except PqtransferError:
        return False
    assert vars(read_activity(write_activity(activity))) == vars(activity), "it is not what was added up"
    return True


def _sign(data: bytes, context: bytes) -> bytes | None:
    """A document around any JSON body; None where even the hostile sender cannot write one."""
    try:
        body: Any = json.loads(data)
        message = write_canonical_json(body)
        signature = ALICE.signing.sign(message, context=context)
        signed = {"public_key": encode_base64(ALICE.signing.public_key.raw), "signature": encode_base64(signature)}
        return write_canonical_json({"body": body, "signed": signed})
    except (ValueError, RecursionError, AttributeError):
        return None


def _encrypt_segment() -> bytes:
    out = bytearray(SEGMENT_SIZE)
    with patch.object(floe.os, "urandom", bytes):
        return bytes(out[: CIPHER.encrypt_segment_into(0, b"plaintext", memoryview(out), final=True)])


_SEGMENT = _encrypt_segment()
_BODIES = [
    write_canonical_json(json.loads(file)["body"]) for file in (CONTAINER.manifest_json, CONTAINER.envelope_json)
]
_IDENTITY = BOB.to_public().to_json()

_REQUEST_JSON = REQUEST.to_json().encode()
_NOTE = cosign(
    sign_checkpoint(CHECKPOINT, LOG_SIGNERS, time_seconds=TIME_SECONDS), WITNESS_SIGNERS, time_seconds=TIME_SECONDS
).to_bytes()


def read_audit_message(data: bytes) -> bool:
    """What is read is written the same way, in as many messages as it takes."""
    try:
        entries = unpack_message(data.decode("latin-1"))
    except PqtransferError:
        return False
    again = [entry for message in pack_messages(entries) for entry in unpack_message(message)]
    assert again == list(entries), "a message says something else the second time"
    return True


def read_audit_spool(data: bytes) -> bool:
    """Whatever the disk holds, a spool is read up to where it makes sense, and then goes on."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.spool"
        path.write_bytes(data)
        spool = SpoolFile.take_over(path)
        assert spool is not None
        events = spool.read_pending(events_at_most=1000)
        spool.mark_sent(events)
        assert spool.is_drained
        spool.close()
        assert not path.exists()
    return bool(events.entries)


def _make_spool() -> bytes:
    with TemporaryDirectory() as folder:
        spool = SpoolFile.create(Path(folder))
        spool.append([b"first", b"second"])
        data = spool.path.read_bytes()[:8192]
        spool.mark_sent(spool.read_pending(events_at_most=10))
        spool.close()
        return data


def read_alert_event(data: bytes) -> bool:
    """Whatever comes in ends as signals that an alert can be made of, or as an unknown event with one."""
    event = read_event(data.decode("utf-8", "surrogateescape"))
    signals = event.signals if isinstance(event, KnownEvent) else (event.to_signal(at=ALERT_TIME),)
    record = None
    for signal in signals:
        assert Signal.model_validate(signal.model_dump()) == signal
        record = AlertRules(now=ALERT_TIME, routes=ROUTES).take(None, signal).record
        for delivery in record.deliveries:
            write_topic_message(record, delivery, environment="dev").encode()
            write_slack(record, delivery, environment="dev")
    return isinstance(event, KnownEvent)


def read_alert_order(data: bytes) -> bool:
    try:
        read_order(json.loads(data))
    except (PqtransferError, ValueError, RecursionError):
        return False
    return True


def read_alert_channels(data: bytes) -> bool:
    try:
        channels = read_channels(data.decode("utf-8", "surrogateescape"))
    except PqtransferError:
        return False
    rules = AddressRules(hosts=frozenset({"hooks.slack.com"}))
    for channel in channels:
        if channel.url is not None and rules.refuse(channel.address) is None:
            assert channel.address.lower().startswith("https:")
    return True


_EVENTS = [
    make_alarm("ALARM"),
    make_task(healthStatus="UNHEALTHY"),
    make_deployment("FAILED"),
    make_service_action("SERVICE_STEADY_STATE", "INFO"),
    make_guardduty(8.0),
    make_inspector("HIGH"),
    make_alert(),
    make_failure("Unseal"),
]
_CHANNELS = b"""{"channels": [{"name": "team", "kind": "slack", "url": "https://hooks.slack.com/services/x"},
{"name": "oncall", "kind": "pagerduty", "routing_key": "k"},
{"name": "siem", "kind": "webhook", "url": "https://hooks.slack.com/x",
  "secret": "ssssssssssssssssssssssssssssssss"}]}"""
_ORDER = b'{"action": "acknowledge", "alert_id": "4815815ad156177478f1", "by": "jo", "is_over": true}'

TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "json": (read_json, [b"{}", _IDENTITY, b'{"a":[1,-2,{"b":null}],"\xe2\x82\xac":"\\u0001\\n\\""}']),
    "public-key": (
        read_public_key,
        [make_identity("bob", suite).kem.public_key.to_json() for suite in ("PQT-1", "PQT-2")]
        + [BOB.signing.public_key.to_json()],
    ),
    "private-key": (
        read_private_key,
        [make_identity("bob", suite).kem.to_json().reveal() for suite in ("PQT-1", "PQT-2")],
    ),
    "public-identity": (read_public_identity, [_IDENTITY]),
    "succession": (read_succession, [_SUCCESSION]),
    "private-identity": (read_private_identity, [BOB.to_json().reveal()]),
    "key-backup": (read_key_backup, [each["backup"].encode() for each in _KEY_BACKUPS["backups"]]),
    "manifest": (read_manifest, [CONTAINER.manifest_json]),
    "envelope": (read_envelope, [CONTAINER.envelope_json]),
    "container": (read_container, [bytes([n]) + getattr(CONTAINER, file) for n, file in enumerate(FILES)]),
    "hostile-manifest": (read_hostile_manifest, _BODIES),
    "hostile-envelope": (read_hostile_envelope, _BODIES[::-1]),
    "segment": (read_segment, [b"\1" + _SEGMENT, b"\0\xff\xff\xff\xff" + bytes(60)]),
    "floe-header": (read_floe_header, [CIPHER.header]),
    "message": (read_message, [sign_request(REQUEST, ALICE.signing).encode()]),
    "request": (read_request, [_REQUEST_JSON, _REQUEST_JSON.replace(b"encrypt", b"rewrap")]),
    "report": (read_report, [_REPORT, b'{"incident_id":"i-1"}', _PAGE]),
    "alert-event": (read_alert_event, [json.dumps(each).encode() for each in _EVENTS]),
    "alert-order": (read_alert_order, [_ORDER]),
    "alert-channels": (read_alert_channels, [_CHANNELS]),
    "audit-event": (read_audit_event, [*ENTRIES, *(make_full_event(kind).to_json() for kind in EventKind)]),
    "audit-entry": (read_logged_entry, [*ENTRIES, *(make_full_event(kind).to_json() for kind in EventKind)]),
    "audit-bundle": (read_audit_bundle, [encode_bundle([*ENTRIES, b""]), encode_bundle([b"", b"a", b"bc"])]),
    "audit-message": (read_audit_message, [message.encode() for message in pack_messages(ENTRIES)]),
    "audit-spool": (read_audit_spool, [_make_spool()]),
    "audit-note": (read_note, [_NOTE]),
    "audit-note-key": (read_note_key, [str(signer.key).encode() for signer in (*LOG_SIGNERS, *WITNESS_SIGNERS)]),
    "audit-checkpoint": (read_checkpoint, [_NOTE]),
    "audit-proof": (read_audit_proof, [EntryProof(ENTRIES[1], 1, (hash_leaf(ENTRIES[0]),), _NOTE).to_bytes()]),
    "audit-cef": (write_cef_line, [*ENTRIES, *(make_full_event(kind).to_json() for kind in EventKind)]),
    "audit-keys": (read_published_keys, [PublishedKeys.from_policy(POLICY).to_json()]),
    "audit-trusted": (
        read_trusted_log,
        [TrustedLog(_NOTE, 7, {"a": Numbering(5, [Gap(2, 3)]), "b": Numbering(2)}).to_bytes()],
    ),
    "audit-cursor": (
        read_check_cursor,
        [
            CheckCursor(
                TrustedLog(_NOTE, 7, {"a": Numbering(5, [Gap(2, 3)])}),
                Report(findings=[Finding(FindingKind.ENTRY_CHANGED, "tile/entries/000", 1, 2, "x")], entries_checked=7),
                purges=(("256", "ab" * 32),),
            ).to_bytes()
        ],
    ),
    "audit-activity": (read_report_activity, [write_activity(_ACTIVITY)]),
    "audit-state": (read_audit_state, [LogState(origin=ORIGIN, size=3, hashes=(bytes(32), bytes(32))).to_json()]),
}
