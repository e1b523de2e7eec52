"""The manifest says which bytes a transfer is; nothing in it can be changed, and it says who signed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pqtransfer.crypto.canonical_json import MalformedDocumentError, encode_base64, write_canonical_json
from pqtransfer.crypto.manifest import (
    MANIFEST_CONTEXT,
    MANIFEST_LIMIT_BYTES,
    InvalidMetadataError,
    InvalidSignatureError,
    SignedManifest,
    composite_sha256,
    require_metadata,
    sign_manifest,
)
from pqtransfer.crypto.suites import UnknownSuiteError
from pqtransfer.errors import PqtransferError
from tests.containers import make_bytes, make_container, make_identity

ALICE = make_identity("alice").signing
MANIFEST = make_container(b"model", metadata={"round": "7", "site": "a"}).manifest_json
BODY: dict[str, Any] = json.loads(MANIFEST)["body"]


def sign_body(body: dict[str, Any]) -> bytes:
    """A document with a signature that holds, whatever the body says: what a hostile sender can write."""
    signature = ALICE.sign(write_canonical_json(body), context=MANIFEST_CONTEXT)
    signed = {"public_key": encode_base64(ALICE.public_key.raw), "signature": encode_base64(signature)}
    return write_canonical_json({"body": body, "signed": signed})


def change_body(**changes: Any) -> bytes:
    """Signed again after the change; a value of ... takes the field out."""
    return sign_body({name: value for name, value in (BODY | changes).items() if value is not ...})


def test_a_manifest_is_read_back_and_names_its_signer() -> None:
    manifest = SignedManifest.from_json(MANIFEST)
    assert manifest.to_json() == MANIFEST
    assert manifest.body.metadata == {"round": "7", "site": "a"}
    manifest.require_signer(ALICE.public_key)
    assert SignedManifest.from_json(change_body()).body == manifest.body


def test_a_manifest_signed_by_somebody_else_is_refused() -> None:
    """Mallory signs what claims to be from Alice: the signature holds, and is not Alice's."""
    body = SignedManifest.from_json(MANIFEST).body
    forged = SignedManifest.from_json(sign_manifest(body, make_identity("mallory").signing).to_json())
    with pytest.raises(InvalidSignatureError, match="alice"):
        forged.require_signer(ALICE.public_key)


def test_a_manifest_is_signed_by_a_key_of_its_suite() -> None:
    body = SignedManifest.from_json(MANIFEST).body
    with pytest.raises(MalformedDocumentError, match="PQT-2"):
        sign_manifest(body, make_identity("alice", "PQT-2").signing)


def test_a_signature_of_another_kind_of_document_is_refused() -> None:
    """The context string keeps a signature over an envelope from passing for one over a manifest."""
    document = json.loads(MANIFEST)
    signature = ALICE.sign(write_canonical_json(document["body"]), context=b"pqtransfer/v1/envelope")
    document["signed"]["signature"] = encode_base64(signature)
    with pytest.raises(InvalidSignatureError):
        SignedManifest.from_json(write_canonical_json(document))


@settings(max_examples=300)
@given(st.data())
def test_any_changed_bit_ends_in_a_named_error(data: st.DataObject) -> None:
    document = bytearray(MANIFEST)
    bit = data.draw(st.integers(0, len(document) * 8 - 1))
    document[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PqtransferError):
        SignedManifest.from_json(bytes(document))


@pytest.mark.parametrize("field", sorted(BODY))
@pytest.mark.parametrize(
    "value",
    [..., None, True, 0, -1, 2**53 - 1, "", "x" * 5000, [], [None], {}, {"a": 1}],
    ids=lambda v: repr(v)[:12],
)
def test_a_field_that_is_missing_or_of_another_type_ends_in_a_named_error(field: str, value: Any) -> None:
    """Though its signature holds: the sender itself is not trusted with the reader's memory or control flow."""
    if (field, value) == ("metadata", {}):
        assert SignedManifest.from_json(change_body(metadata={})).body.metadata == {}
        return
    with pytest.raises(PqtransferError):
        SignedManifest.from_json(change_body(**{field: value}))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"suite": "PQT-9"}, UnknownSuiteError),
        ({"suite": "PQT-2"}, PqtransferError),  # its key is of PQT-1
        ({"format": "pqtransfer-manifest/2"}, MalformedDocumentError),
        ({"segment_size": 4096}, MalformedDocumentError),
        ({"part_size": (1 << 20) + 1}, MalformedDocumentError),
        ({"part_size": 129 << 20}, MalformedDocumentError),
        ({"plaintext_length": 6}, MalformedDocumentError),
        ({"ciphertext_length": 38}, MalformedDocumentError),
        ({"part_sha256": BODY["part_sha256"] * 2}, MalformedDocumentError),
        ({"part_sha256": BODY["part_sha256"] * 10_001}, MalformedDocumentError),
        ({"part_sha256": [encode_base64(bytes(31))]}, MalformedDocumentError),
        ({"composite_sha256": encode_base64(bytes(32))}, MalformedDocumentError),
        ({"floe_header": encode_base64(bytes(73))}, MalformedDocumentError),
        ({"transfer_id": "0198C0DE-0000-7000-8000-000000000001"}, MalformedDocumentError),
        ({"transfer_id": "{0198c0de-0000-7000-8000-000000000001}"}, MalformedDocumentError),
        ({"transfer_id": "0198c0de-0000-4000-8000-000000000001"}, MalformedDocumentError),
        ({"transfer_id": "../../../../etc/passwd"}, MalformedDocumentError),
        ({"sender": "../alice"}, MalformedDocumentError),
        ({"created_at": "2026-01-31 12:00:00Z"}, MalformedDocumentError),
        ({"created_at": "2026-02-30T12:00:00Z"}, MalformedDocumentError),
        ({"created_at": "２０２６-01-31T12:00:00Z"}, MalformedDocumentError),
        ({"metadata": {str(n): "" for n in range(65)}}, MalformedDocumentError),
        ({"metadata": {"a": "x" * 16 * 1024}}, MalformedDocumentError),
        ({"metadata": {"a": {"nested": "b"}}}, MalformedDocumentError),
        ({"object_version_id": "x" * 1025}, MalformedDocumentError),
        ({"plaintext_sha256": encode_base64(bytes(20))}, MalformedDocumentError),
        ({"admin": True}, MalformedDocumentError),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.__name__,
)
def test_what_a_hostile_sender_signs_is_still_refused(changes: dict[str, Any], error: type[PqtransferError]) -> None:
    with pytest.raises(error):
        SignedManifest.from_json(change_body(**changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("format"),
        lambda body: body.pop("segment_size"),
        lambda body: body.update(object_version_id=None),
        lambda body: body.update(plaintext_sha256=None),
    ],
    ids=["format", "segment_size", "object_version_id", "plaintext_sha256"],
)
def test_there_is_one_document_for_one_signature(change: Callable[[dict[str, Any]], object]) -> None:
    """What has a default, and what is absent, has one spelling: else a changed file would pass under its signature."""
    document = json.loads(MANIFEST)
    change(document["body"])
    with pytest.raises(MalformedDocumentError, match="leaves out"):
        SignedManifest.from_json(write_canonical_json(document))


def test_errors_name_fields_and_never_values() -> None:
    """A hostile value does not reach a log line; neither does a control character in a field's name."""
    with pytest.raises(MalformedDocumentError) as caught:
        SignedManifest.from_json(change_body(**{"sender": "attention<script>", "\x1b[2J": 1}))
    assert "body.sender" in str(caught.value)
    assert "script" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_the_largest_manifest_is_read() -> None:
    """10,000 parts and the most metadata fit the limits."""
    digests = tuple(make_bytes(str(n), 32) for n in range(10_000))
    length = 10_000 * ((1 << 20) - 32)
    data = change_body(
        part_sha256=[encode_base64(digest) for digest in digests],
        composite_sha256=encode_base64(composite_sha256(digests)),
        plaintext_length=length,
        ciphertext_length=10_000 << 20,
        metadata={f"{n:02}": "," * 250 for n in range(64)},
        object_version_id="v" * 1024,
    )
    assert len(data) < MANIFEST_LIMIT_BYTES
    assert SignedManifest.from_json(data).body.geometry.part_count == 10_000


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({str(n): "" for n in range(65)}, "more than 64 names"),
        ({"notes": "x" * 16 * 1024}, "more than 16384 bytes"),
        ({"filename": "mod\udce8le"}, "not Unicode"),
    ],
    ids=["names", "bytes", "a file name that is not UTF-8"],
)
def test_metadata_can_be_checked_before_anything_is_encrypted(metadata: dict[str, str], complaint: str) -> None:
    """A writer would else find out when the last part of 20 GB is done."""
    assert require_metadata({"round": "7"}) == {"round": "7"}
    with pytest.raises(InvalidMetadataError, match=complaint):
        require_metadata(metadata)


def test_a_manifest_of_strange_metadata_cannot_be_written() -> None:
    """Lone surrogates have no UTF-8 form: refused when the manifest is made, not when it is signed."""
    body = SignedManifest.from_json(MANIFEST).body
    with pytest.raises(ValidationError):
        type(body)(**body.model_dump() | {"metadata": {"a": "\ud800"}})
