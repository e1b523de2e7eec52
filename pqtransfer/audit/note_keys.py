"""Keys that sign notes: how they are named and published, and who signs with them (C2SP signed-note, tlog-cosignature).

A key is of one kind for good: a log signs with `ED25519` and `MLDSA44_COSIGNATURE`, a witness with cosignatures.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from pqtransfer.audit.errors import InvalidNoteKeyError
from pqtransfer.crypto.canonical_json import decode_base64, encode_base64
from pqtransfer.crypto.secret import SecretBytes

NAME_LIMIT_BYTES = 255
"""The length of a name in an ML-DSA-44 cosignature is one byte."""
SEED_LENGTH_BYTES = 32


class SignatureKind(IntEnum):
    """The signature type byte of a key id."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    MLDSA44_COSIGNATURE = 0x06

    @property
    def is_timestamped(self) -> bool:
        """The signature is a cosignature: it carries a time and says that the signer checked consistency."""
        return self is not SignatureKind.ED25519


PUBLIC_KEY_LENGTH_BYTES = {
    SignatureKind.ED25519: 32,
    SignatureKind.ED25519_COSIGNATURE: 32,
    SignatureKind.MLDSA44_COSIGNATURE: 1312,
}
SIGNATURE_LENGTH_BYTES = {
    SignatureKind.ED25519: 64,
    SignatureKind.ED25519_COSIGNATURE: 64,
    SignatureKind.MLDSA44_COSIGNATURE: 2420,
}


@dataclass(frozen=True)
class NoteKey:
    """A public key with its name: what a reader of a log must know from a source it trusts.

    Raises:
        InvalidNoteKeyError: the name or the key is none.
    """

    name: str
    kind: SignatureKind
    public_key: bytes

    def __post_init__(self) -> None:
        require_key_name(self.name)
        expected = PUBLIC_KEY_LENGTH_BYTES[self.kind]
        if len(self.public_key) != expected:
            raise InvalidNoteKeyError(
                f"a key of kind {self.kind.name} has {expected} bytes, not {len(self.public_key)}"
            )

    @property
    def key_id(self) -> bytes:
        """SHA-256(name | 0x0A | kind | public key), its first 4 bytes. It finds a key; it does not prove one."""
        kind = bytes([self.kind])
        return hashlib.sha256(self.name.encode() + b"\n" + kind + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """The key as it is published (a "vkey"): NAME+ID+KEY."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.kind]) + self.public_key)}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a published key.

        Raises:
            InvalidNoteKeyError: not NAME+ID+KEY, of a kind that is not known here, or the id is not the key's.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = decode_base64(encoded)
            kind = SignatureKind(raw[0])
        except (ValueError, IndexError):
            raise InvalidNoteKeyError("its last part is not the base64 of a kind that is known and a key") from None
        key = cls(name, kind, raw[1:])
        if key.key_id.hex() != key_id:
            raise InvalidNoteKeyError("its id does not belong to its name and key")
        return key

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """True when the bare signature (without a timestamp) over `message` is this key's.

        Raises:
            InvalidNoteKeyError: the bytes are no key of their kind.
        """
        try:
            if self.kind is SignatureKind.MLDSA44_COSIGNATURE:
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        except ValueError as error:
            raise InvalidNoteKeyError(str(error)) from None
        return True


class NoteSigner(Protocol):
    """Who holds a private key: this process, or a key service."""

    @property
    def key(self) -> NoteKey:
        """The public half."""

    def sign(self, message: bytes) -> bytes:
        """The bare signature over `message`: Ed25519 (RFC 8032), or ML-DSA-44 (FIPS 204) with an empty context."""


class LocalNoteSigner:
    """A private key in memory, from its 32-byte seed."""

    def __init__(self, name: str, kind: SignatureKind, seed: SecretBytes) -> None:
        """
        Raises:
            InvalidNoteKeyError: the name is none, or the seed has another length.
        """
        if len(seed) != SEED_LENGTH_BYTES:
            raise InvalidNoteKeyError(f"a seed has {SEED_LENGTH_BYTES} bytes, not {len(seed)}")
        self._private_key: Ed25519PrivateKey | MLDSA44PrivateKey
        if kind is SignatureKind.MLDSA44_COSIGNATURE:
            self._private_key = MLDSA44PrivateKey.from_seed_bytes(seed.reveal())
        else:
            self._private_key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self._key = NoteKey(name, kind, self._private_key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"LocalNoteSigner({self._key.name}+{self._key.key_id.hex()})"

    @property
    def key(self) -> NoteKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        return self._private_key.sign(message)


def require_key_name(name: str) -> None:
    """Check that a note's signature line can carry the name.

    Raises:
        InvalidNoteKeyError: it cannot.
    """
    if not is_key_name(name):
        raise InvalidNoteKeyError(
            f"its name is empty, longer than {NAME_LIMIT_BYTES} bytes, or holds a space, a control character or a plus"
        )


def is_key_name(name: str) -> bool:
    """No spaces of any kind, no plus, no ASCII control characters, and a UTF-8 form of 1 to 255 bytes."""
    if any(sign.isspace() or sign < " " or sign == "+" for sign in name):
        return False
    try:
        return 0 < len(name.encode()) <= NAME_LIMIT_BYTES
    except UnicodeEncodeError:
        return False
