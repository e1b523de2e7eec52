"""A participant's identity: one KEM key and one signing key under a name, and the proof that they belong together.

The proof is a signature of the signing key over the name and both public keys: it shows possession of the signing key
and binds the KEM key to it. Whoever takes an identity from elsewhere still has to know that the name is who it says.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_canonical_json,
    read_document,
    write_canonical_json,
)
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey, generate_private_key
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError, IntegrityError

IDENTITY_CONTEXT = b"pqtransfer/v1/identity"
IDENTITY_LIMIT_BYTES = 64 * 1024
PARTICIPANT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")


class InvalidNameError(InputError):
    """A participant's name is not allowed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:60]!r} is not a participant's name: use 1-48 lower-case letters, digits and inner hyphens, "
            "for example hospital-a"
        )


class InvalidProofError(IntegrityError):
    """The proof of possession of an identity does not hold."""

    def __init__(self, participant: str) -> None:
        super().__init__(f"the identity of {participant} is not signed by its own signing key; run keygen again")


def require_participant_name(name: str) -> str:
    """The name, if it is allowed.

    Raises:
        InvalidNameError: it is not.
    """
    if not PARTICIPANT_NAME.fullmatch(name):
        raise InvalidNameError(name)
    return name


def _check_name(name: str) -> str:
    if not PARTICIPANT_NAME.fullmatch(name):
        raise ValueError("is not a participant's name")
    return name


ParticipantName = Annotated[str, AfterValidator(_check_name)]


class PublicIdentity(BaseModel):
    """The file `public-keys.json`: what a participant gives to others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-identity/1"] = "pqtransfer-identity/1"
    participant: ParticipantName
    kem: PublicKey
    signing: PublicKey
    proof: Base64Bytes

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read an identity and check every key and the proof in it.

        Raises:
            MalformedDocumentError: not an identity.
            UnknownSuiteError, InvalidKeyError: a key is not valid.
            InvalidProofError: the proof does not hold.
        """
        identity = read_document(cls, data, name="identity", limit_bytes=IDENTITY_LIMIT_BYTES)
        identity.require_valid()
        return identity

    def require_valid(self) -> None:
        """Check purposes, suites, key bytes and proof.

        Raises:
            MalformedDocumentError, UnknownSuiteError, InvalidKeyError, InvalidProofError: what does not hold.
        """
        if self.kem.suite_id != self.signing.suite_id:
            raise MalformedDocumentError("the two keys of an identity must be of one suite")
        if self.kem.purpose is not KeyPurpose.KEM or self.signing.purpose is not KeyPurpose.SIGNING:
            raise MalformedDocumentError("an identity needs one kem key and one signing key, in their places")
        self.kem.require_valid()
        self.signing.require_valid()
        statement = _identity_statement(self.participant, self.kem, self.signing)
        if not self.signing.verifies(self.proof, statement, context=IDENTITY_CONTEXT):
            raise InvalidProofError(self.participant)

    @property
    def suite_id(self) -> str:
        return self.kem.suite_id


class PrivateIdentity:
    """The file `private-keys.json`: what a participant keeps to itself."""

    def __init__(self, participant: str, *, kem: PrivateKey, signing: PrivateKey) -> None:
        if kem.purpose is not KeyPurpose.KEM or signing.purpose is not KeyPurpose.SIGNING:
            raise MalformedDocumentError("an identity needs one kem key and one signing key, in their places")
        if kem.suite_id != signing.suite_id:
            raise MalformedDocumentError("the two keys of an identity must be of one suite")
        self.participant = require_participant_name(participant)
        self.kem = kem
        self.signing = signing

    def __repr__(self) -> str:
        return f"PrivateIdentity({self.participant})"

    def to_public(self) -> PublicIdentity:
        """The public half, with a fresh proof."""
        return prove_pair(self.participant, kem=self.kem.public_key, signing=self.signing)

    def to_json(self) -> SecretBytes:
        """The private identity document."""
        return SecretBytes(
            write_canonical_json(
                {
                    "format": "pqtransfer-private-identity/1",
                    "kem": self.kem.to_json().reveal().decode("ascii"),
                    "participant": self.participant,
                    "signing": self.signing.to_json().reveal().decode("ascii"),
                }
            )
        )

    @classmethod
    def from_json(cls, data: SecretBytes) -> Self:
        """Read a private identity. No error shows anything of it.

        Raises:
            MalformedDocumentError: not a private identity.
        """
        malformed = MalformedDocumentError("this is not a private identity (private-keys.json) of pqtransfer")
        try:
            document = read_canonical_json(data.reveal(), name="private identity", limit_bytes=IDENTITY_LIMIT_BYTES)
        except MalformedDocumentError:
            raise malformed from None
        if set(document) != {"format", "kem", "participant", "signing"} or not all(
            isinstance(value, str) for value in document.values()
        ):
            raise malformed
        if document["format"] != "pqtransfer-private-identity/1":
            raise malformed
        return cls(
            document["participant"],
            kem=PrivateKey.from_json(SecretBytes(document["kem"].encode())),
            signing=PrivateKey.from_json(SecretBytes(document["signing"].encode())),
        )


def generate_identity(participant: str, *, suite_id: str) -> PrivateIdentity:
    """A new identity of one suite.

    Raises:
        InvalidNameError, UnknownSuiteError: an argument is not allowed.
    """
    require_participant_name(participant)
    return PrivateIdentity(
        participant,
        kem=generate_private_key(KeyPurpose.KEM, suite_id),
        signing=generate_private_key(KeyPurpose.SIGNING, suite_id),
    )


def prove_pair(participant: str, *, kem: PublicKey, signing: PrivateKey) -> PublicIdentity:
    """The identity of a KEM key and a signing key, proven by the second. Whoever calls knows whose the first is.

    Raises:
        MalformedDocumentError, UnknownSuiteError, InvalidKeyError: the keys are no pair.
    """
    statement = _identity_statement(participant, kem, signing.public_key)
    proof = signing.sign(statement, context=IDENTITY_CONTEXT)
    identity = PublicIdentity(participant=participant, kem=kem, signing=signing.public_key, proof=proof)
    identity.require_valid()
    return identity


def _identity_statement(participant: str, kem: PublicKey, signing: PublicKey) -> bytes:
    return write_canonical_json({"kem": kem.key_id, "participant": participant, "signing": signing.key_id})
