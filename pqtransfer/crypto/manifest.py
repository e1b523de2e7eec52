"""The manifest: which bytes a transfer is, signed by its sender. It never changes once the transfer is complete.

It fixes lengths, the digest of every part, the FLOE header and the object version, so a payload that was cut, spliced
or mixed from two uploads is found. The signature is ML-DSA (FIPS 204) over the canonical body, under a context string.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field

from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_document,
    write_canonical_json,
)
from pqtransfer.crypto.floe import HEADER_LENGTH_BYTES
from pqtransfer.crypto.geometry import (
    MAXIMUM_PARTS,
    MAXIMUM_PLAINTEXT_LENGTH_BYTES,
    PayloadGeometry,
    check_geometry,
)
from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.suites import get_suite
from pqtransfer.errors import InputError, IntegrityError

MANIFEST_CONTEXT = b"pqtransfer/v1/manifest"
MANIFEST_LIMIT_BYTES = 1 << 20
METADATA_LIMIT_BYTES = 16 * 1024
METADATA_LIMIT_NAMES = 64
TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

Sha256 = Annotated[Base64Bytes, Field(min_length=32, max_length=32)]


class InvalidSignatureError(IntegrityError):
    """A signature does not hold, or is not of the key it should be of."""

    def __init__(self, document: str, expected: str) -> None:
        super().__init__(
            f"the {document} is not signed by {expected}; do not use this container, ask its sender what they sent"
        )


class InvalidMetadataError(InputError):
    """What the application wants to say of a model cannot stand in a manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the metadata {reason}; it takes at most {METADATA_LIMIT_NAMES} names and {METADATA_LIMIT_BYTES} bytes of "
            "text: put larger things into the model file"
        )


def _check_transfer_id(value: str) -> str:
    try:
        parsed = UUID(value)
    except ValueError:
        raise ValueError("is not a UUID") from None
    if str(parsed) != value or parsed.version != 7:
        raise ValueError("is not a version 7 UUID in its standard spelling (RFC 9562)")
    return value


TransferId = Annotated[str, Field(max_length=36), AfterValidator(_check_transfer_id)]


def _check_timestamp(value: str) -> str:
    if not TIMESTAMP.fullmatch(value):
        raise ValueError("is not a UTC time such as 2026-01-31T12:00:00Z")
    datetime.fromisoformat(value)
    return value


Timestamp = Annotated[str, AfterValidator(_check_timestamp)]


def _check_metadata(value: dict[str, str]) -> dict[str, str]:
    if len(value) > METADATA_LIMIT_NAMES:
        raise ValueError(f"has more than {METADATA_LIMIT_NAMES} names")
    if sum(len(key.encode()) + len(text.encode()) for key, text in value.items()) > METADATA_LIMIT_BYTES:
        raise ValueError(f"has more than {METADATA_LIMIT_BYTES} bytes")
    return value


Metadata = Annotated[dict[str, str], AfterValidator(_check_metadata)]


class SignatureBlock(BaseModel):
    """Who signed: the public key travels along, but a reader must know from elsewhere whose it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    public_key: Base64Bytes = Field(max_length=8192)
    signature: Base64Bytes = Field(max_length=8192)

    def signing_key(self, suite_id: str) -> PublicKey:
        return PublicKey(purpose=KeyPurpose.SIGNING, suite_id=suite_id, raw=self.public_key)


class Manifest(BaseModel):
    """The signed body. Sizes and lengths are in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-manifest/1"] = "pqtransfer-manifest/1"
    suite: str = Field(max_length=32)
    transfer_id: TransferId
    sender: ParticipantName
    created_at: Timestamp
    plaintext_length: int = Field(ge=0, le=MAXIMUM_PLAINTEXT_LENGTH_BYTES)
    ciphertext_length: int = Field(ge=0)
    segment_size: Literal[1048576] = 1048576
    part_size: int = Field(gt=0)
    part_sha256: Annotated[tuple[Sha256, ...], FailFast()] = Field(min_length=1, max_length=MAXIMUM_PARTS, strict=False)
    composite_sha256: Sha256
    floe_header: Base64Bytes = Field(min_length=HEADER_LENGTH_BYTES, max_length=HEADER_LENGTH_BYTES)
    object_version_id: str | None = Field(default=None, max_length=1024)
    plaintext_sha256: Sha256 | None = None
    metadata: Metadata = Field(default_factory=dict)

    @property
    def geometry(self) -> PayloadGeometry:
        return PayloadGeometry(self.plaintext_length, self.part_size)

    def require_consistent(self) -> None:
        """Check what the fields say of each other.

        Raises:
            UnknownSuiteError: the suite is not in the registry.
            MalformedDocumentError: lengths, parts and digests do not fit.
        """
        get_suite(self.suite)
        check_geometry(self.geometry, ciphertext_length_bytes=self.ciphertext_length, part_count=len(self.part_sha256))
        if composite_sha256(self.part_sha256) != self.composite_sha256:
            raise MalformedDocumentError("the manifest's composite digest does not fit its part digests")


class SignedManifest(BaseModel):
    """The file `manifest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    body: Manifest
    signed: SignatureBlock

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a manifest and check its form and its signature by the key it carries, whoever's that is.

        Raises:
            MalformedDocumentError: not a manifest.
            UnknownSuiteError: its suite is not known.
            InvalidSignatureError: the body is not what was signed.
        """
        manifest = read_document(cls, data, name="manifest", limit_bytes=MANIFEST_LIMIT_BYTES)
        manifest.body.require_consistent()
        key = manifest.signing_key
        key.require_valid()
        if not key.verifies(manifest.signed.signature, write_canonical_json(manifest.body), context=MANIFEST_CONTEXT):
            raise InvalidSignatureError("manifest", "the key it carries")
        return manifest

    @property
    def signing_key(self) -> PublicKey:
        """The key that signed. Compare it with the sender's key from a source you trust."""
        return self.signed.signing_key(self.body.suite)

    def require_signer(self, expected: PublicKey) -> None:
        """Check that the sender's known key signed.

        Raises:
            InvalidSignatureError: somebody else's key did.
        """
        if self.signing_key != expected:
            raise InvalidSignatureError("manifest", f"the key of {self.body.sender} ({expected.key_id[:16]})")


def require_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, if a manifest can carry it. A writer asks before it encrypts: the manifest comes last.

    Raises:
        InvalidMetadataError: it is too much, or holds text without a UTF-8 form (a file name that is not UTF-8).
    """
    try:
        return _check_metadata(dict(metadata))
    except UnicodeEncodeError:
        raise InvalidMetadataError("holds text that is not Unicode") from None
    except ValueError as error:
        raise InvalidMetadataError(str(error)) from None


def sign_manifest(body: Manifest, key: PrivateKey) -> SignedManifest:
    """Sign a manifest with the sender's signing key of the manifest's suite.

    Raises:
        MalformedDocumentError: the body does not fit itself, or the key is of another suite.
    """
    body.require_consistent()
    if key.suite_id != body.suite:
        raise MalformedDocumentError(f"a {body.suite} manifest cannot be signed with a key of {key.suite_id}")
    signature = key.sign(write_canonical_json(body), context=MANIFEST_CONTEXT)
    return SignedManifest(body=body, signed=SignatureBlock(public_key=key.public_key.raw, signature=signature))


def composite_sha256(part_sha256: tuple[bytes, ...]) -> bytes:
    """S3's composite checksum without its `-N` ending: SHA-256 over the concatenated part digests."""
    return hashlib.sha256(b"".join(part_sha256)).digest()
