"""The envelope: the data key of one transfer, wrapped to each recipient (HPKE, RFC 9180, post-quantum hybrid KEMs).

One stanza for each recipient. A MAC under the data key covers the list of stanzas, so whoever can open one stanza sees
that none was added or taken away; an ML-DSA signature names who wrapped. Rewrap replaces the envelope alone, epoch + 1.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from pydantic import BaseModel, ConfigDict, FailFast, Field

from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_document,
    write_canonical_json,
)
from pqtransfer.crypto.floe import DATA_KEY_LENGTH_BYTES
from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.keypairs import InvalidKeyError, PrivateKey, PublicKey
from pqtransfer.crypto.manifest import InvalidSignatureError, Manifest, SignatureBlock, TransferId
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import Suite, get_suite
from pqtransfer.errors import AccessError, IntegrityError

ENVELOPE_CONTEXT = b"pqtransfer/v1/envelope"
ENVELOPE_LIMIT_BYTES = 4 << 20
MAXIMUM_RECIPIENTS = 1000
MAXIMUM_EPOCH = 2**31
_STANZA_LABEL = "pqtransfer/v1/stanza"
_MAC_LABEL = b"pqtransfer/v1/envelope-mac"
_WRAPPED_KEY_LENGTH_BYTES = DATA_KEY_LENGTH_BYTES + 16


class NotARecipientError(AccessError):
    """No stanza of the envelope is for this key."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(
            f"transfer {transfer_id} is not wrapped to this key; "
            "use the key it was sent to, or ask the sender to rewrap it"
        )


class DamagedEnvelopeError(IntegrityError):
    """The envelope was changed, or belongs to another transfer."""


class EpochExhaustedError(IntegrityError):
    """The envelope's epoch is the last one: no honest writer comes that far."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(
            f"the envelope of transfer {transfer_id} has the last epoch and cannot be rewrapped; "
            "put an earlier version of it back, or send the model again"
        )


class Stanza(BaseModel):
    """The data key for one recipient: HPKE single-shot output, cut into encapsulation and wrapped key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    suite: str = Field(max_length=32)
    enc: Base64Bytes = Field(max_length=4096)
    wrapped_data_key: Base64Bytes = Field(min_length=_WRAPPED_KEY_LENGTH_BYTES, max_length=_WRAPPED_KEY_LENGTH_BYTES)


class EnvelopeBody(BaseModel):
    """What is signed: the stanzas, the MAC over them, and who wrapped."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-envelope/1"] = "pqtransfer-envelope/1"
    suite: str = Field(max_length=32)
    transfer_id: TransferId
    epoch: int = Field(ge=1, le=MAXIMUM_EPOCH)
    stanzas: Annotated[tuple[Stanza, ...], FailFast()] = Field(
        min_length=1, max_length=MAXIMUM_RECIPIENTS, strict=False
    )
    mac: Base64Bytes = Field(min_length=32, max_length=48)
    signer: ParticipantName


class Envelope(BaseModel):
    """The file `envelope.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    body: EnvelopeBody
    signed: SignatureBlock

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read an envelope and check its form and its signature by the key it carries, whoever's that is.

        Raises:
            MalformedDocumentError: not an envelope.
            UnknownSuiteError: its suite is not known.
            InvalidSignatureError: the body is not what was signed.
        """
        envelope = read_document(cls, data, name="envelope", limit_bytes=ENVELOPE_LIMIT_BYTES)
        _check_stanzas(envelope.body)
        key = envelope.signing_key
        key.require_valid()
        if not key.verifies(envelope.signed.signature, write_canonical_json(envelope.body), context=ENVELOPE_CONTEXT):
            raise InvalidSignatureError("envelope", "the key it carries")
        return envelope

    @property
    def signing_key(self) -> PublicKey:
        """The key that signed. Compare it with the signer's key from a source you trust."""
        return self.signed.signing_key(self.body.suite)

    @property
    def recipient_key_ids(self) -> tuple[str, ...]:
        return tuple(stanza.key_id for stanza in self.body.stanzas)

    def require_transfer_of(self, manifest: Manifest) -> None:
        """Check that the envelope is of the manifest's transfer and suite.

        Raises:
            DamagedEnvelopeError: it is of another.
        """
        if (self.body.transfer_id, self.body.suite) != (manifest.transfer_id, manifest.suite):
            raise DamagedEnvelopeError(
                f"the envelope is of transfer {self.body.transfer_id}, the manifest of {manifest.transfer_id}; "
                "use the envelope that stands beside the manifest"
            )

    def require_signer(self, expected: PublicKey) -> None:
        """Check that the signer's known key signed.

        Raises:
            InvalidSignatureError: somebody else's key did.
        """
        if self.signing_key != expected:
            raise InvalidSignatureError("envelope", f"the key of {self.body.signer} ({expected.key_id[:16]})")


def generate_data_key() -> SecretBytes:
    """A new 32-byte data key."""
    return SecretBytes(os.urandom(DATA_KEY_LENGTH_BYTES))


def require_fitting_keys(keys: Sequence[PublicKey], *, suite_id: str, signing_key: PrivateKey) -> None:
    """Check that an envelope of this suite can be wrapped to these keys, and signed by that one.

    Raises:
        InvalidKeyError: a key is not valid, or of another suite; or there is none, too many, or one twice.
    """
    if not keys:
        raise InvalidKeyError("an envelope needs at least one recipient")
    if len(keys) > MAXIMUM_RECIPIENTS:
        raise InvalidKeyError(f"an envelope has at most {MAXIMUM_RECIPIENTS} recipients, not {len(keys)}")
    if len({key.key_id for key in keys}) != len(keys):
        raise InvalidKeyError("a recipient is named twice; name each one once")
    for key in keys:
        key.require_valid()
    for key in (*keys, signing_key.public_key):
        if key.suite_id != suite_id:
            raise InvalidKeyError(
                f"key {key.key_id[:16]} is of {key.suite_id}, the transfer of {suite_id}; "
                f"choose suite {key.suite_id}, or use a key of {suite_id}"
            )


def seal_envelope(
    data_key: SecretBytes,
    *,
    suite_id: str,
    transfer_id: str,
    floe_header: bytes,
    recipients: Iterable[PublicKey],
    signer: str,
    signing_key: PrivateKey,
    epoch: int = 1,
) -> Envelope:
    """Wrap the data key to every recipient, and sign.

    Raises:
        InvalidKeyError: a recipient's key is not valid, or of another suite; or there is none, or one twice.
        EpochExhaustedError: there is no epoch after the present one.
    """
    if epoch > MAXIMUM_EPOCH:
        raise EpochExhaustedError(transfer_id)
    suite = get_suite(suite_id)
    keys = tuple(recipients)
    require_fitting_keys(keys, suite_id=suite_id, signing_key=signing_key)
    stanzas = tuple(_wrap(data_key, suite, key, transfer_id=transfer_id, floe_header=floe_header) for key in keys)
    mac = _authenticate(data_key, suite, transfer_id=transfer_id, epoch=epoch, stanzas=stanzas)
    body = EnvelopeBody(suite=suite_id, transfer_id=transfer_id, epoch=epoch, stanzas=stanzas, mac=mac, signer=signer)
    signature = signing_key.sign(write_canonical_json(body), context=ENVELOPE_CONTEXT)
    return Envelope(body=body, signed=SignatureBlock(public_key=signing_key.public_key.raw, signature=signature))


def open_envelope(envelope: Envelope, manifest: Manifest, keys: Sequence[PrivateKey]) -> SecretBytes:
    """The data key, opened with the first of `keys` that a stanza is for.

    Raises:
        NotARecipientError: no stanza is for any of the keys.
        DamagedEnvelopeError: it is of another transfer or suite, a stanza was changed, added or taken away.
    """
    body = envelope.body
    envelope.require_transfer_of(manifest)
    suite = get_suite(body.suite)
    stanzas: Mapping[str, Stanza] = {stanza.key_id: stanza for stanza in body.stanzas}
    for key in keys:
        stanza = stanzas.get(key.public_key.key_id)
        if stanza is not None:
            data_key = _unwrap(stanza, suite, key, manifest)
            expected = _authenticate(
                data_key, suite, transfer_id=body.transfer_id, epoch=body.epoch, stanzas=body.stanzas
            )
            if not hmac.compare_digest(expected, body.mac):
                raise DamagedEnvelopeError("the list of recipients was changed after the data key was wrapped")
            return data_key
    raise NotARecipientError(body.transfer_id)


def _wrap(data_key: SecretBytes, suite: Suite, key: PublicKey, *, transfer_id: str, floe_header: bytes) -> Stanza:
    info = _stanza_info(suite, transfer_id=transfer_id, floe_header=floe_header, key_id=key.key_id)
    sealed = suite.hpke_suite().encrypt(data_key.reveal(), key.to_hpke(), info)
    cut = suite.encapsulation_length_bytes
    return Stanza(key_id=key.key_id, suite=suite.id, enc=sealed[:cut], wrapped_data_key=sealed[cut:])


def _unwrap(stanza: Stanza, suite: Suite, key: PrivateKey, manifest: Manifest) -> SecretBytes:
    if key.suite_id != suite.id:  # a key id is only a claim of the stanza: it can name a key of another suite
        raise DamagedEnvelopeError(f"the stanza for this key is of {suite.id}, the key of {key.suite_id}")
    info = _stanza_info(suite, transfer_id=manifest.transfer_id, floe_header=manifest.floe_header, key_id=stanza.key_id)
    try:
        return SecretBytes(suite.hpke_suite().decrypt(stanza.enc + stanza.wrapped_data_key, key.to_hpke(), info))
    except (InvalidTag, ValueError):
        raise DamagedEnvelopeError("the stanza for this key was changed, or is of another transfer") from None


def _stanza_info(suite: Suite, *, transfer_id: str, floe_header: bytes, key_id: str) -> bytes:
    statement = write_canonical_json(
        {
            "floe_header": floe_header.hex(),
            "key_id": key_id,
            "label": _STANZA_LABEL,
            "suite": suite.id,
            "transfer_id": transfer_id,
        }
    )
    return hashlib.new(suite.hash_name, statement).digest()


def _authenticate(
    data_key: SecretBytes, suite: Suite, *, transfer_id: str, epoch: int, stanzas: Sequence[Stanza]
) -> bytes:
    mac_key = HKDFExpand(algorithm=suite.hash, length=suite.hash.digest_size, info=_MAC_LABEL).derive(data_key.reveal())
    statement = write_canonical_json(
        {
            "epoch": epoch,
            "stanzas": [stanza.model_dump(mode="json") for stanza in stanzas],
            "suite": suite.id,
            "transfer_id": transfer_id,
        }
    )
    return hmac.digest(mac_key, statement, suite.hash_name)


def _check_stanzas(body: EnvelopeBody) -> None:
    suite = get_suite(body.suite)
    if len({stanza.key_id for stanza in body.stanzas}) != len(body.stanzas):
        raise MalformedDocumentError("the envelope has two stanzas for one key")
    for stanza in body.stanzas:
        if stanza.suite != body.suite or len(stanza.enc) != suite.encapsulation_length_bytes:
            raise MalformedDocumentError("a stanza of the envelope does not follow the envelope's suite")
    if len(body.mac) != suite.hash.digest_size:
        raise MalformedDocumentError("the envelope's MAC does not follow its suite")
