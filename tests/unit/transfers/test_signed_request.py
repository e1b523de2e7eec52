"""The message on the queue: who may have a worker act in whose name."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pqtransfer.crypto.keypairs import KeyPurpose, PublicKey
from pqtransfer.errors import InputError, PqtransferError
from pqtransfer.transfers.request import REQUEST_LIMIT_BYTES, MalformedRequestError, TransferRequest
from pqtransfer.transfers.signed_request import (
    REQUEST_CONTEXT,
    UntrustedRequestError,
    read_signed_request,
    sign_request,
)
from tests.containers import TRANSFER_ID, make_identity

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
ALICE, MALLORY = make_identity("alice"), make_identity("mallory")
REQUEST = TransferRequest(
    transfer_id=TRANSFER_ID,
    kind="encrypt",
    source="s3://site/m\u00f6del",
    sender="alice",
    recipients=("bob",),
    correlation_id="c",
)
MESSAGE = sign_request(REQUEST, ALICE.signing)


class UnknownError(InputError):
    """The registry knows no such key."""


def find_signing_key(participant: str, key_id: str) -> PublicKey:
    for identity in (ALICE, MALLORY):
        key = identity.signing.public_key
        if (participant, key_id) == (identity.participant, key.key_id):
            return key
    raise UnknownError(f"{participant} has no key {key_id}")


def read(message: str) -> TransferRequest:
    return read_signed_request(message, find_signing_key=find_signing_key)


def test_what_the_sender_signed_is_read() -> None:
    """Byte for byte."""
    assert read(MESSAGE) == REQUEST


def change(**fields: object) -> str:
    return json.dumps(json.loads(MESSAGE) | fields)


def in_another_name() -> str:
    """Mallory, who is registered too, asks in alice's name."""
    return sign_request(REQUEST, MALLORY.signing)


def with_her_key_id() -> str:
    return change(signature=json.loads(in_another_name())["signature"])


def for_somebody_else() -> str:
    """A byte of what was signed is another one."""
    return change(request=REQUEST.model_copy(update={"recipients": ("mallory",)}).to_json())


def from_another_document() -> str:
    """A signature by the right key over the right bytes, made for another purpose."""
    signature = ALICE.signing.sign(REQUEST.to_json().encode(), context=REQUEST_CONTEXT + b"2")
    return change(signature=base64.b64encode(signature).decode())


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (in_another_name, UnknownError),
        (with_her_key_id, UntrustedRequestError),
        (for_somebody_else, UntrustedRequestError),
        (from_another_document, UntrustedRequestError),
    ],
)
def test_what_the_sender_did_not_sign_is_refused(make: Callable[[], str], error: type[PqtransferError]) -> None:
    """Whoever may send to the queue cannot have a worker use another participant's keys."""
    with pytest.raises(error, match="alice"):
        read(make())


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "{}",
        REQUEST.to_json(),  # unsigned
        change(format="pqtransfer-signed-request/2"),
        change(request="{}"),
        change(request=json.loads(REQUEST.to_json())),
        change(signing_key_id="A" * 64),
        change(signature="not base64"),
        change(surprise=1),
        MESSAGE + " " * REQUEST_LIMIT_BYTES,
    ],
)
def test_what_is_no_signed_request_is_refused(message: str) -> None:
    """With a reason, before any key is looked for."""
    with pytest.raises(MalformedRequestError):
        read(message)


def test_the_published_vector_is_read() -> None:
    """A message and a key that another implementation can check itself against."""
    vector = json.loads((VECTORS / "signed-request.json").read_text(encoding="utf-8"))
    expected = vector["signing_key"]
    raw = base64.b64decode(expected["public_key"])
    key = PublicKey(purpose=KeyPurpose.SIGNING, suite_id=expected["suite"], raw=raw)

    def find_key(participant: str, key_id: str) -> PublicKey:
        assert (participant, key_id) == (expected["participant"], expected["key_id"]) == ("alice", key.key_id)
        return key

    request = read_signed_request(vector["message"], find_signing_key=find_key)
    assert json.loads(request.to_json()) == vector["request"]
