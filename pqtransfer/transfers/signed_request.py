"""The message on the queue: a transfer request, signed by the participant in whose name it is made.

Whoever may send to the queue could otherwise have a worker act for any participant whose keys the system keeps. The
signature is ML-DSA (FIPS 204) over the request's own bytes, under a context string that no other document uses.
"""

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.crypto.canonical_json import Base64Bytes
from pqtransfer.crypto.keypairs import PrivateKey
from pqtransfer.errors import AccessError
from pqtransfer.transfers.container import FindSigningKey
from pqtransfer.transfers.request import (
    REQUEST_LIMIT_BYTES,
    MalformedRequestError,
    TransferRequest,
    name_problems,
)

SIGNED_REQUEST_FORMAT = "pqtransfer-signed-request/1"
REQUEST_CONTEXT = b"pqtransfer/v1/request"


class UntrustedRequestError(AccessError):
    """A request was not signed by the participant that it names as its sender."""

    def __init__(self, sender: str) -> None:
        super().__init__(f"the request names {sender}, whose signature it does not carry; submit it as {sender}")


class RequestClaims(NamedTuple):
    """What a message says of itself, true or not: for a record of who was refused."""

    sender: str
    transfer_id: str
    correlation_id: str
    signing_key_id: str


class _SignedRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-signed-request/1"] = "pqtransfer-signed-request/1"
    request: str = Field(description="the JSON text of the request, as it was signed")
    signing_key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Base64Bytes = Field(max_length=8192)


def sign_request(request: TransferRequest, key: PrivateKey) -> str:
    """The message for the queue. `key` is the signing key of the request's sender."""
    text = request.to_json()
    signature = key.sign(text.encode(), context=REQUEST_CONTEXT)
    return _SignedRequest(request=text, signing_key_id=key.public_key.key_id, signature=signature).model_dump_json()


def read_signed_request(message: str, *, find_signing_key: FindSigningKey) -> TransferRequest:
    """The request in a message, signed by a known key of its sender.

    Raises:
        MalformedRequestError: the message, or the request in it, is of no version that is known.
        UntrustedRequestError: its sender did not sign it.
        PqtransferError: what `find_signing_key` raises for a sender or key that is not known.
    """
    signed, request = _read(message)
    key = find_signing_key(request.sender, signed.signing_key_id)
    if not key.verifies(signed.signature, signed.request.encode(), context=REQUEST_CONTEXT):
        raise UntrustedRequestError(request.sender)
    return request


def read_claims(message: str) -> RequestClaims | None:
    """What a message says of itself. Nothing of it is checked but its form; None when it is no signed request."""
    try:
        signed, request = _read(message)
    except MalformedRequestError:
        return None
    return RequestClaims(request.sender, request.transfer_id, request.correlation_id, signed.signing_key_id)


def _read(message: str) -> tuple[_SignedRequest, TransferRequest]:
    if len(message) > REQUEST_LIMIT_BYTES:
        raise MalformedRequestError(f"the message has more than {REQUEST_LIMIT_BYTES} bytes")
    try:
        signed = _SignedRequest.model_validate_json(message)
    except ValidationError as error:
        raise MalformedRequestError(f"the message is not a {SIGNED_REQUEST_FORMAT}: {name_problems(error)}") from None
    return signed, TransferRequest.from_json(signed.request)
