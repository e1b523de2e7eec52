"""How a participant that keeps its own keys gets new ones: the keys in use name the ones that follow them.

A succession is the new identity with a signature of the signing key that it replaces. It names both keys that are
replaced, so it is good for once: as soon as those are no longer in use, nobody can bring it back.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.crypto.canonical_json import Base64Bytes, read_document, write_canonical_json
from pqtransfer.crypto.identity import IDENTITY_LIMIT_BYTES, InvalidProofError, PrivateIdentity, PublicIdentity
from pqtransfer.crypto.keypairs import PublicKey
from pqtransfer.errors import InputError

SUCCESSION_CONTEXT = b"pqtransfer/v1/succession"
SUCCESSION_LIMIT_BYTES = IDENTITY_LIMIT_BYTES + 16 * 1024


class NotASuccessorError(InputError):
    """The new keys are not those of the participant whose keys they are to replace."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"keys of {new} cannot follow those of {old}; make new ones under the same name")


class Succession(BaseModel):
    """The document. `signature` is of the signing key that is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-succession/1"] = "pqtransfer-succession/1"
    identity: PublicIdentity
    replaces_kem: str = Field(pattern=r"^[0-9a-f]{64}$")
    replaces_signing: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: Base64Bytes = Field(max_length=8192)

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a succession, and check the new identity in it. Who signed it is not checked yet.

        Raises:
            MalformedDocumentError: not a succession.
            UnknownSuiteError, InvalidKeyError, InvalidProofError: the identity does not hold.
        """
        succession = read_document(cls, data, name="succession", limit_bytes=SUCCESSION_LIMIT_BYTES)
        succession.identity.require_valid()
        return succession

    def require_signer(self, replaced: PublicKey) -> None:
        """Check that the key which is replaced wants this.

        Raises:
            InvalidProofError: it is another key, or the signature does not hold.
        """
        statement = _statement(self.identity, self.replaces_kem, self.replaces_signing)
        if replaced.key_id != self.replaces_signing or not replaced.verifies(
            self.signature, statement, context=SUCCESSION_CONTEXT
        ):
            raise InvalidProofError(self.identity.participant)


def sign_succession(old: PrivateIdentity, new: PublicIdentity) -> Succession:
    """The word of the keys in use that these follow them.

    Raises:
        NotASuccessorError: the new ones are another participant's.
    """
    if old.participant != new.participant:
        raise NotASuccessorError(old.participant, new.participant)
    replaces_kem, replaces_signing = old.kem.public_key.key_id, old.signing.public_key.key_id
    statement = _statement(new, replaces_kem, replaces_signing)
    return Succession(
        identity=new,
        replaces_kem=replaces_kem,
        replaces_signing=replaces_signing,
        signature=old.signing.sign(statement, context=SUCCESSION_CONTEXT),
    )


def _statement(identity: PublicIdentity, replaces_kem: str, replaces_signing: str) -> bytes:
    return write_canonical_json(
        {
            "kem": identity.kem.key_id,
            "participant": identity.participant,
            "replaces_kem": replaces_kem,
            "replaces_signing": replaces_signing,
            "signing": identity.signing.key_id,
        }
    )
