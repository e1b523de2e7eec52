"""The envelope: whoever is named opens it, nobody else does, and the list of names cannot be changed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.crypto.canonical_json import MalformedDocumentError, encode_base64, write_canonical_json
from pqtransfer.crypto.envelope import (
    ENVELOPE_CONTEXT,
    ENVELOPE_LIMIT_BYTES,
    MAXIMUM_EPOCH,
    MAXIMUM_RECIPIENTS,
    DamagedEnvelopeError,
    Envelope,
    EpochExhaustedError,
    NotARecipientError,
    open_envelope,
    seal_envelope,
)
from pqtransfer.crypto.keypairs import InvalidKeyError, KeyPurpose, PublicKey
from pqtransfer.crypto.manifest import InvalidSignatureError, SignedManifest
from pqtransfer.crypto.suites import UnknownSuiteError, WeakSuiteError
from pqtransfer.errors import PqtransferError
from tests.containers import OTHER_TRANSFER_ID, TRANSFER_ID, make_container, make_identity, open_container

ALICE, BOB, CAROL, MALLORY = (make_identity(name) for name in ("alice", "bob", "carol", "mallory"))
CONTAINER = make_container(b"model", recipients=("bob", "carol"))
MANIFEST = SignedManifest.from_json(CONTAINER.manifest_json).body
ENVELOPE = Envelope.from_json(CONTAINER.envelope_json)
BODY: dict[str, Any] = json.loads(CONTAINER.envelope_json)["body"]
DATA_KEY = open_envelope(ENVELOPE, MANIFEST, [BOB.kem])


def sign_body(body: dict[str, Any], *, signer: Any = ALICE) -> bytes:
    """A document with a signature that holds, whatever the body says."""
    signature = signer.signing.sign(write_canonical_json(body), context=ENVELOPE_CONTEXT)
    signed = {"public_key": encode_base64(signer.signing.public_key.raw), "signature": encode_base64(signature)}
    return write_canonical_json({"body": body, "signed": signed})


def change_body(**changes: Any) -> bytes:
    return sign_body({name: value for name, value in (BODY | changes).items() if value is not ...})


def change_stanza(place: int, **changes: Any) -> bytes:
    stanzas = [dict(stanza) for stanza in BODY["stanzas"]]
    stanzas[place] = {name: value for name, value in (stanzas[place] | changes).items() if value is not ...}
    return change_body(stanzas=stanzas)


def seal(*recipients: PublicKey, suite_id: str = "PQT-1", signer: Any = ALICE, epoch: int = 1) -> Envelope:
    return seal_envelope(
        DATA_KEY,
        suite_id=suite_id,
        transfer_id=TRANSFER_ID,
        floe_header=MANIFEST.floe_header,
        recipients=recipients,
        signer=signer.participant,
        signing_key=signer.signing,
        epoch=epoch,
    )


@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_every_recipient_opens_it_and_nobody_else(suite_id: str) -> None:
    container = make_container(b"model", suite_id=suite_id, recipients=("alice", "bob"))
    for name in ("alice", "bob"):
        assert open_container(container, make_identity(name, suite_id).kem) == b"model"
    with pytest.raises(NotARecipientError, match="rewrap"):
        open_container(container, make_identity("mallory", suite_id).kem)


def test_a_reader_with_several_keys_uses_the_one_that_fits() -> None:
    """After a rotation a recipient holds old and new keys, of several suites."""
    keys = [MALLORY.kem, make_identity("bob", "PQT-2").kem, BOB.kem]
    assert open_container(CONTAINER, *keys) == b"model"
    with pytest.raises(NotARecipientError):
        open_container(CONTAINER)


def test_an_envelope_of_another_transfer_is_refused() -> None:
    """Even when the same data key was used for both."""
    other = make_container(b"model", transfer_id=OTHER_TRANSFER_ID, data_key=DATA_KEY)
    with pytest.raises(DamagedEnvelopeError, match="the envelope is of transfer"):
        open_container(replace(CONTAINER, envelope_json=other.envelope_json), BOB.kem)


def test_an_envelope_of_another_payload_of_the_same_transfer_is_refused() -> None:
    """A transfer that started over has another FLOE header, and `info` binds each stanza to it."""
    again = make_container(b"model", recipients=("bob", "carol"))
    with pytest.raises(DamagedEnvelopeError, match="stanza"):
        open_container(replace(CONTAINER, envelope_json=again.envelope_json), BOB.kem)


@pytest.mark.parametrize(
    "stanzas",
    [
        pytest.param(BODY["stanzas"][:1], id="stripped"),
        pytest.param(BODY["stanzas"][::-1], id="reordered"),
        pytest.param(
            [*BODY["stanzas"], json.loads(seal(MALLORY.kem.public_key).to_json())["body"]["stanzas"][0]], id="added"
        ),
    ],
)
def test_a_changed_list_of_stanzas_is_found_by_every_recipient(stanzas: list[dict[str, Any]]) -> None:
    """Though the envelope was signed again: the MAC needs the data key."""
    envelope = Envelope.from_json(change_body(stanzas=stanzas))
    with pytest.raises(DamagedEnvelopeError, match="list of recipients"):
        open_envelope(envelope, MANIFEST, [BOB.kem])


def test_a_changed_epoch_is_found() -> None:
    """An old envelope cannot be passed off as a newer one."""
    with pytest.raises(DamagedEnvelopeError, match="list of recipients"):
        open_envelope(Envelope.from_json(change_body(epoch=2)), MANIFEST, [BOB.kem])


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (0, {"wrapped_data_key": BODY["stanzas"][1]["wrapped_data_key"]}),
        (0, {"enc": BODY["stanzas"][1]["enc"]}),
        (0, {"enc": encode_base64(bytes(1120))}),
        (0, {"enc": encode_base64(b"\xff" * 1120)}),
        (0, {"wrapped_data_key": encode_base64(bytes(48))}),
        (1, {"key_id": BOB.kem.public_key.key_id}),
    ],
    ids=["wrapped key of another", "encapsulation of another", "zeros", "ones", "zero key", "two stanzas for one key"],
)
def test_a_changed_stanza_is_refused(place: int, changes: dict[str, str]) -> None:
    with pytest.raises(PqtransferError):
        open_envelope(Envelope.from_json(change_stanza(place, **changes)), MANIFEST, [BOB.kem])


def test_a_stanza_that_names_a_key_of_another_suite_or_purpose_is_refused_by_name() -> None:
    """A key id is only a claim: it must not lead a reader into calling one KEM with a key of the other."""
    for key in (make_identity("bob", "PQT-2").kem, BOB.signing):
        envelope = Envelope.from_json(change_stanza(0, key_id=key.public_key.key_id))
        with pytest.raises(PqtransferError):
            open_envelope(envelope, MANIFEST, [key])


def test_an_envelope_signed_by_somebody_else_is_refused() -> None:
    forged = Envelope.from_json(sign_body(BODY, signer=MALLORY))
    with pytest.raises(InvalidSignatureError, match="alice"):
        forged.require_signer(ALICE.signing.public_key)
    with pytest.raises(InvalidSignatureError):
        open_container(replace(CONTAINER, envelope_json=forged.to_json()), BOB.kem, sender=ALICE.signing.public_key)


def test_a_wrong_sender_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(InvalidSignatureError):
        open_container(CONTAINER, MALLORY.kem, sender=MALLORY.signing.public_key)


def test_a_suite_under_the_minimum_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(WeakSuiteError, match="PQT-2 or better"):
        open_container(CONTAINER, MALLORY.kem, minimum_suite_id="PQT-2")


def test_rewrap_opens_for_the_new_recipients_only() -> None:
    """The payload and the manifest stay as they are; a recipient may wrap anew, under its own signature."""
    rewrapped = seal(MALLORY.kem.public_key, signer=BOB, epoch=2)
    container = replace(CONTAINER, envelope_json=rewrapped.to_json())
    assert open_container(container, MALLORY.kem) == b"model"
    assert (rewrapped.body.epoch, rewrapped.body.signer) == (2, "bob")
    with pytest.raises(NotARecipientError):
        open_container(container, CAROL.kem)


def test_the_last_epoch_ends_in_a_named_error() -> None:
    """A recipient who signs an envelope of the last epoch cannot make the next rewrap fail in another way."""
    assert seal(BOB.kem.public_key, epoch=MAXIMUM_EPOCH).body.epoch == MAXIMUM_EPOCH
    with pytest.raises(EpochExhaustedError, match="earlier version"):
        seal(BOB.kem.public_key, epoch=MAXIMUM_EPOCH + 1)


def small_order_key() -> PublicKey:
    return PublicKey(purpose=KeyPurpose.KEM, suite_id="PQT-1", raw=BOB.kem.public_key.raw[:1184] + bytes(32))


@pytest.mark.parametrize(
    ("recipients", "complaint"),
    [
        ((), "at least one"),
        ((BOB.kem.public_key, BOB.kem.public_key), "named twice"),
        ((make_identity("bob", "PQT-2").kem.public_key,), "choose suite PQT-2"),
        ((BOB.signing.public_key,), "cannot be used as a kem key"),
        ((small_order_key(),), "small order"),
        ((BOB.kem.public_key,) * (MAXIMUM_RECIPIENTS + 1), "at most 1000"),
    ],
    ids=["none", "twice", "another suite", "a signing key", "small order", "too many"],
)
def test_recipients_that_cannot_be_sealed_to_are_refused_by_name(
    recipients: tuple[PublicKey, ...], complaint: str
) -> None:
    with pytest.raises(InvalidKeyError, match=complaint):
        seal(*recipients)


@settings(max_examples=300)
@given(st.data())
def test_any_changed_bit_ends_in_a_named_error(data: st.DataObject) -> None:
    document = bytearray(CONTAINER.envelope_json)
    bit = data.draw(st.integers(0, len(document) * 8 - 1))
    document[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PqtransferError):
        open_container(replace(CONTAINER, envelope_json=bytes(document)), BOB.kem)


VALUES = [..., None, True, 0, -1, 2**53 - 1, "", "x" * 5000, [], [None], {}, {"a": 1}]


@pytest.mark.parametrize("field", sorted(BODY))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_a_field_that_is_missing_or_of_another_type_ends_in_a_named_error(field: str, value: Any) -> None:
    with pytest.raises(PqtransferError):
        open_envelope(Envelope.from_json(change_body(**{field: value})), MANIFEST, [BOB.kem])


@pytest.mark.parametrize("field", sorted(BODY["stanzas"][0]))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:12])
def test_a_field_of_a_stanza_that_is_missing_or_of_another_type_ends_in_a_named_error(field: str, value: Any) -> None:
    with pytest.raises(PqtransferError):
        open_envelope(Envelope.from_json(change_stanza(0, **{field: value})), MANIFEST, [BOB.kem])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"suite": "PQT-9"}, UnknownSuiteError),
        ({"suite": "PQT-2"}, MalformedDocumentError),
        ({"format": "pqtransfer-envelope/2"}, MalformedDocumentError),
        ({"epoch": 0}, MalformedDocumentError),
        ({"mac": encode_base64(bytes(48))}, MalformedDocumentError),
        ({"signer": "Alice"}, MalformedDocumentError),
        ({"escrow": {}}, MalformedDocumentError),
        ({"stanzas": BODY["stanzas"] * 2}, MalformedDocumentError),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.__name__,
)
def test_what_a_hostile_signer_signs_is_still_refused(changes: dict[str, Any], error: type[PqtransferError]) -> None:
    with pytest.raises(error):
        Envelope.from_json(change_body(**changes))


@pytest.mark.parametrize(
    "changes", [{"suite": "PQT-2"}, {"enc": encode_base64(bytes(1119))}, {"enc": encode_base64(bytes(1665))}]
)
def test_a_stanza_that_does_not_follow_the_suite_is_refused_before_any_key_is_used(changes: dict[str, str]) -> None:
    with pytest.raises(MalformedDocumentError, match="does not follow the envelope's suite"):
        Envelope.from_json(change_stanza(1, **changes))


def test_the_largest_envelope_is_read() -> None:
    """1,000 recipients of the larger suite fit the limits on bytes and values."""
    alice = make_identity("alice", "PQT-2")
    stanza = {"enc": encode_base64(bytes(1665)), "suite": "PQT-2", "wrapped_data_key": encode_base64(bytes(48))}
    body = BODY | {
        "suite": "PQT-2",
        "mac": encode_base64(bytes(48)),
        "stanzas": [stanza | {"key_id": f"{n:064x}"} for n in range(MAXIMUM_RECIPIENTS)],
    }
    data = sign_body(body, signer=alice)
    assert len(data) < ENVELOPE_LIMIT_BYTES
    assert len(Envelope.from_json(data).recipient_key_ids) == MAXIMUM_RECIPIENTS
