"""Which keys a reader of the log believes, as its operator publishes them: a small JSON file without secrets.

Whoever can replace this file decides what is believed: get it once, from somebody you trust, and keep it.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.note_keys import NoteKey
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.errors import InputError

KEYS_FILE_LIMIT_BYTES = 256 * 1024
KEYS_AT_MOST = 64

KeyTexts = Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(strict=False, max_length=KEYS_AT_MOST)]


class InvalidPublishedKeysError(InputError):
    """A file is not the published keys of an audit log."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"these are not the published keys of an audit log: {reason}; ask the log's operator for audit-keys.json"
        )


class PublishedKeys(BaseModel):
    """The origin of a log, its keys and its witnesses' as NAME+ID+KEY, and how many witnesses must have signed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-audit-keys/1"] = "pqtransfer-audit-keys/1"
    origin: str = Field(max_length=255)
    log_keys: KeyTexts
    witness_keys: KeyTexts = ()
    witnesses_required: int = Field(default=0, ge=0, le=KEYS_AT_MOST)
    revoked_keys: KeyTexts = ()
    former_log_keys: Annotated[tuple[KeyTexts, ...], Field(strict=False, max_length=KEYS_AT_MOST)] = ()
    former_witness_keys: Annotated[tuple[KeyTexts, ...], Field(strict=False, max_length=KEYS_AT_MOST)] = ()

    @classmethod
    def from_policy(cls, policy: TrustPolicy) -> Self:
        """What to publish so that readers check by this policy."""
        return cls(
            origin=policy.origin,
            log_keys=tuple(map(str, policy.log_keys)),
            witness_keys=tuple(map(str, policy.witness_keys)),
            witnesses_required=policy.witnesses_required,
            revoked_keys=tuple(map(str, policy.revoked_keys)),
            former_log_keys=tuple(tuple(map(str, keys)) for keys in policy.former_log_keys),
            former_witness_keys=tuple(tuple(map(str, keys)) for keys in policy.former_witness_keys),
        )

    def to_policy(self) -> TrustPolicy:
        """The policy that readers check by.

        Raises:
            InvalidNoteKeyError: a key cannot be read or used.
        """
        return TrustPolicy(
            self.origin,
            log_keys=tuple(map(NoteKey.from_text, self.log_keys)),
            witness_keys=tuple(map(NoteKey.from_text, self.witness_keys)),
            witnesses_required=self.witnesses_required,
            revoked_keys=tuple(map(NoteKey.from_text, self.revoked_keys)),
            former_log_keys=tuple(tuple(map(NoteKey.from_text, keys)) for keys in self.former_log_keys),
            former_witness_keys=tuple(tuple(map(NoteKey.from_text, keys)) for keys in self.former_witness_keys),
        )

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read published keys. People may have indented the file.

        Raises:
            InvalidPublishedKeysError: too large, or not of this format.
            InvalidNoteKeyError: a key in it cannot be read or used.
        """
        if len(data) > KEYS_FILE_LIMIT_BYTES:
            raise InvalidPublishedKeysError(f"at most {KEYS_FILE_LIMIT_BYTES} bytes are read")
        try:
            keys = cls.model_validate_json(data)
        except ValidationError as error:
            places = sorted({".".join(map(str, problem["loc"][:1])) or "the file" for problem in error.errors()})
            shown = ascii(", ".join(places))[1:-1][:200]
            raise InvalidPublishedKeysError(f"what it says of {shown} is wrong") from None
        keys.to_policy()
        return keys
