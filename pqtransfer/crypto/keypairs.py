"""Key pairs: one KEM or signing key of one suite, stored as a 32-byte seed.

KEM seeds expand as X-Wing's do (draft-connolly-cfrg-xwing-kem): SHAKE256(seed) gives the 64-byte ML-KEM seed (FIPS 203,
d | z) followed by the secret of the traditional half. Signing seeds are FIPS 204's xi.
"""

import hashlib
import os
from enum import StrEnum
from functools import cached_property
from typing import Literal, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_document,
    write_canonical_json,
)
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.crypto.suites import KEM_SEED_LENGTH_BYTES, SigningPrivateKey, SigningPublicKey, Suite, get_suite
from pqtransfer.errors import InputError

KEY_DOCUMENT_LIMIT_BYTES = 16 * 1024
P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973

HpkePrivateKey = hpke.MLKEM768X25519PrivateKey | hpke.MLKEM1024P384PrivateKey
HpkePublicKey = hpke.MLKEM768X25519PublicKey | hpke.MLKEM1024P384PublicKey


class InvalidKeyError(InputError):
    """Key bytes are not a valid key of their suite."""


class KeyPurpose(StrEnum):
    """What a key is for. A key serves one purpose only."""

    KEM = "kem"
    SIGNING = "signing"


class PublicKey(BaseModel):
    """A public key: its purpose, its suite, and the raw bytes (KEM: ML-KEM key, then X25519 or P-384 point)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-public-key/1"] = "pqtransfer-public-key/1"
    purpose: KeyPurpose
    suite_id: str = Field(max_length=32)
    raw: Base64Bytes = Field(max_length=8192)

    @property
    def key_id(self) -> str:
        """SHA-256 of the canonical document, 64 hex digits: it names the key and is checked by whoever uses it."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read and validate a public key document.

        Raises:
            MalformedDocumentError: not a public key document.
            UnknownSuiteError, InvalidKeyError: the bytes are not a key of a known suite.
        """
        key = read_document(cls, data, name="public key", limit_bytes=KEY_DOCUMENT_LIMIT_BYTES)
        key.require_valid()
        return key

    def require_valid(self) -> None:
        """Check that the bytes are a key of the suite: lengths, FIPS 203 modulus check, point on curve, point order.

        Raises:
            UnknownSuiteError, InvalidKeyError: they are not.
        """
        if self.purpose is KeyPurpose.SIGNING:
            self.to_mldsa()
            return
        self.to_hpke()
        if get_suite(self.suite_id).kem_name == "MLKEM768-X25519":
            _require_x25519_order(self.raw[1184:])

    def to_hpke(self) -> HpkePublicKey:
        """The key as the HPKE implementation takes it.

        Raises:
            InvalidKeyError: wrong purpose, wrong length or not a valid key.
        """
        suite = self._suite_for(KeyPurpose.KEM, "kem_public_key_length_bytes")
        try:
            if suite.kem_name == "MLKEM768-X25519":
                return hpke.MLKEM768X25519PublicKey(
                    mlkem.MLKEM768PublicKey.from_public_bytes(self.raw[:1184]),
                    x25519.X25519PublicKey.from_public_bytes(self.raw[1184:]),
                )
            return hpke.MLKEM1024P384PublicKey(
                mlkem.MLKEM1024PublicKey.from_public_bytes(self.raw[:1568]),
                ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), self.raw[1568:]),
            )
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKeyError(f"not a valid {suite.kem_name} public key: {error}") from None

    def to_mldsa(self) -> SigningPublicKey:
        """The key as the ML-DSA implementation takes it.

        Raises:
            InvalidKeyError: wrong purpose, wrong length or not a valid key.
        """
        suite = self._suite_for(KeyPurpose.SIGNING, "signing_public_key_length_bytes")
        try:
            return suite.signing_public_key_type.from_public_bytes(self.raw)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKeyError(f"not a valid {suite.signature_name} public key: {error}") from None

    def verifies(self, signature: bytes, message: bytes, *, context: bytes) -> bool:
        """True when `signature` over `message` under the FIPS 204 context string is this key's.

        Raises:
            UnknownSuiteError, InvalidKeyError: this is not a signing key; that is another fault than a false signature.
            ValueError: the context is longer than 255 bytes.
        """
        try:
            self.to_mldsa().verify(signature, message, context)
        except InvalidSignature:
            return False
        return True

    def _suite_for(self, purpose: KeyPurpose, length_field: str) -> Suite:
        suite = get_suite(self.suite_id)
        if self.purpose is not purpose:
            raise InvalidKeyError(f"a {self.purpose} key cannot be used as a {purpose} key")
        expected = getattr(suite, length_field)
        if len(self.raw) != expected:
            raise InvalidKeyError(f"a {purpose} public key of {suite.id} has {expected} bytes, not {len(self.raw)}")
        return suite


class PrivateKey:
    """A private key, kept as its seed. It shows itself nowhere: not in `repr`, not in errors."""

    def __init__(self, purpose: KeyPurpose, suite_id: str, seed: SecretBytes) -> None:
        if len(seed) != KEM_SEED_LENGTH_BYTES:
            raise InvalidKeyError(f"a private key seed has {KEM_SEED_LENGTH_BYTES} bytes, not {len(seed)}")
        self.purpose = purpose
        self.suite_id = get_suite(suite_id).id
        self._seed = seed

    def __repr__(self) -> str:
        return f"PrivateKey({self.purpose}, {self.suite_id}, {self.public_key.key_id[:16]})"

    @cached_property
    def public_key(self) -> PublicKey:
        """The public half."""
        if self.purpose is KeyPurpose.SIGNING:
            raw = self.to_mldsa().public_key().public_bytes_raw()
        else:
            raw = _raw_kem_public_key(*self._expand())
        return PublicKey(purpose=self.purpose, suite_id=self.suite_id, raw=raw)

    def to_hpke(self) -> HpkePrivateKey:
        """The key as the HPKE implementation takes it."""
        pq_half, traditional_half = self._expand()
        if isinstance(pq_half, mlkem.MLKEM768PrivateKey) and isinstance(traditional_half, x25519.X25519PrivateKey):
            return hpke.MLKEM768X25519PrivateKey(pq_half, traditional_half)
        assert isinstance(pq_half, mlkem.MLKEM1024PrivateKey)  # noqa: S101 - narrows the type for mypy
        assert isinstance(traditional_half, ec.EllipticCurvePrivateKey)  # noqa: S101
        return hpke.MLKEM1024P384PrivateKey(pq_half, traditional_half)

    def to_mldsa(self) -> SigningPrivateKey:
        """The key as the ML-DSA implementation takes it.

        Raises:
            InvalidKeyError: this is a KEM key.
        """
        if self.purpose is not KeyPurpose.SIGNING:
            raise InvalidKeyError("a kem key cannot sign")
        return get_suite(self.suite_id).signing_private_key_type.from_seed_bytes(self._seed.reveal())

    def sign(self, message: bytes, *, context: bytes) -> bytes:
        """An ML-DSA signature (FIPS 204, hedged) over `message` under a context string."""
        return self.to_mldsa().sign(message, context)

    def to_json(self) -> SecretBytes:
        """The private key document, for a key file or a secret store."""
        document = _PrivateKeyDocument(purpose=self.purpose, suite_id=self.suite_id, seed=self._seed.reveal())
        return SecretBytes(write_canonical_json(document))

    @classmethod
    def from_json(cls, data: SecretBytes) -> Self:
        """Read a private key document.

        Raises:
            MalformedDocumentError: not a private key document (the error shows nothing of it).
            UnknownSuiteError: the suite is not known.
        """
        try:
            document = read_document(
                _PrivateKeyDocument, data.reveal(), name="private key", limit_bytes=KEY_DOCUMENT_LIMIT_BYTES
            )
        except MalformedDocumentError:
            raise MalformedDocumentError("this is not a private key document of pqtransfer") from None
        return cls(document.purpose, document.suite_id, SecretBytes(document.seed))

    def _expand(self) -> tuple[mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey, "TraditionalPrivateKey"]:
        if self.purpose is not KeyPurpose.KEM:
            raise InvalidKeyError("a signing key cannot open an envelope")
        if get_suite(self.suite_id).kem_name == "MLKEM768-X25519":
            expanded = hashlib.shake_256(self._seed.reveal()).digest(64 + 32)
            return (
                mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
                x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
            )
        expanded = hashlib.shake_256(self._seed.reveal()).digest(64 + 48)
        scalar = int.from_bytes(expanded[64:], "big")
        if not 0 < scalar < P384_ORDER:  # probability 2^-192
            raise InvalidKeyError("this seed gives no P-384 key; generate another")
        return mlkem.MLKEM1024PrivateKey.from_seed_bytes(expanded[:64]), ec.derive_private_key(scalar, ec.SECP384R1())


TraditionalPrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey


class _PrivateKeyDocument(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    format: Literal["pqtransfer-private-key/1"] = "pqtransfer-private-key/1"
    purpose: KeyPurpose
    suite_id: str
    seed: Base64Bytes = Field(min_length=KEM_SEED_LENGTH_BYTES, max_length=KEM_SEED_LENGTH_BYTES, repr=False)


def generate_private_key(purpose: KeyPurpose, suite_id: str) -> PrivateKey:
    """A new private key from the operating system's random source."""
    while True:
        key = PrivateKey(purpose, suite_id, SecretBytes(os.urandom(KEM_SEED_LENGTH_BYTES)))
        try:
            key.public_key.require_valid()
        except InvalidKeyError:  # the 2^-192 case of P-384: draw again
            continue
        return key


def _require_x25519_order(raw: bytes) -> None:
    """Refuse the few points with which every exchange gives zero (RFC 7748, section 6.1): no seal to them works."""
    try:
        x25519.X25519PrivateKey.from_private_bytes(bytes(32)).exchange(x25519.X25519PublicKey.from_public_bytes(raw))
    except ValueError:
        raise InvalidKeyError("not a valid MLKEM768-X25519 public key: its X25519 half has a small order") from None


def _raw_kem_public_key(
    pq_half: mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey, traditional_half: TraditionalPrivateKey
) -> bytes:
    public_pq = pq_half.public_key().public_bytes_raw()
    if isinstance(traditional_half, x25519.X25519PrivateKey):
        return public_pq + traditional_half.public_key().public_bytes_raw()
    return public_pq + traditional_half.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
