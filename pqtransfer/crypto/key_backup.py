"""The backup of one private key: sealed twice, each copy enough by itself (`docs/spec/key-backup.md`).

One copy is sealed by the environment's KMS key, the other by HPKE to a recovery key whose private half is kept offline.
Both are bound to the environment, the participant and the key id, so that no backup passes for another one.
"""

import hashlib
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_document,
    write_canonical_json,
)
from pqtransfer.crypto.identity import ParticipantName
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.sealing import UnsealError, seal_to_key, unseal_with_keys
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError, InputError, IntegrityError

RECOVERY_SUITE_ID = "PQT-2"
BACKUP_LIMIT_BYTES = 32 * 1024
BACKUP_LABEL = b"pqtransfer/v1/key-backup\x00"
CONTEXT_PURPOSE = "key-backup"


class NotARecoveryKeyError(InputError):
    """A key is not of the kind that backups are sealed to."""

    def __init__(self, key: PublicKey) -> None:
        super().__init__(
            f"a recovery key is a kem key of {RECOVERY_SUITE_ID}, not a {key.purpose} key of {key.suite_id[:32]}; "
            "make one with: pqtransfer keys recovery-key --out DIR"
        )


class BackupOfAnotherError(IntegrityError):
    """A backup is not the one that was asked for."""

    def __init__(self, *, asked: str, found: str) -> None:
        super().__init__(f"this is the backup of {found}, not of {asked}; take the one that belongs there")


class WrongRecoveryKeyError(AccessError):
    """The backup was sealed to another recovery key."""

    def __init__(self, *, needed: str, given: str) -> None:
        super().__init__(
            f"the backup was sealed to recovery key {needed[:16]}, and this is {given[:16]}; "
            "use the recovery key of the time when the backup was made"
        )


class BackupDamagedError(IntegrityError):
    """What is sealed in the backup does not open, or is not the key that the backup names."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the backup of key {key_id[:16]} is damaged; take another version or replica of it")


class KeyBackup(BaseModel):
    """One backup document. `kms_key` is the ARN of the key that opens `kms_sealed`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-key-backup/1"] = "pqtransfer-key-backup/1"
    environment: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    participant: ParticipantName
    public_key: PublicKey
    created_at: AwareDatetime
    kms_key: str = Field(min_length=1, max_length=2048)
    kms_sealed: Base64Bytes = Field(min_length=1, max_length=8192)
    recovery_key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    recovery_sealed: Base64Bytes = Field(min_length=1, max_length=8192)

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a backup. What is sealed in it is not known to be any good before it is opened.

        Raises:
            MalformedDocumentError: not a backup.
            UnknownSuiteError, InvalidKeyError: its public key is not valid.
        """
        backup = read_document(cls, data, name="key backup", limit_bytes=BACKUP_LIMIT_BYTES)
        backup.public_key.require_valid()
        return backup

    @property
    def key_id(self) -> str:
        return self.public_key.key_id

    @property
    def context(self) -> dict[str, str]:
        """The KMS encryption context of `kms_sealed`."""
        return backup_context(self.environment, self.participant, self.public_key)

    def require_of(self, *, environment: str, participant: str, key_id: str) -> None:
        """Check that this is the backup that was asked for.

        Raises:
            BackupOfAnotherError: it is of another environment, participant or key.
        """
        asked = f"{participant}'s key {key_id[:16]} in {environment}"
        found = f"{self.participant}'s key {self.key_id[:16]} in {self.environment}"
        if (self.environment, self.participant, self.key_id) != (environment, participant, key_id):
            raise BackupOfAnotherError(asked=asked, found=found)

    def open_with_recovery_key(self, recovery_key: PrivateKey) -> PrivateKey:
        """The private key, opened offline.

        Raises:
            WrongRecoveryKeyError: the backup was sealed to another one.
            BackupDamagedError: it does not open, or holds another key than it says.
        """
        if recovery_key.public_key.key_id != self.recovery_key_id:
            raise WrongRecoveryKeyError(needed=self.recovery_key_id, given=recovery_key.public_key.key_id)
        label = _recovery_label(self.environment, self.participant, self.key_id)
        try:
            return self.read_opened(unseal_with_keys(self.recovery_sealed, [recovery_key], label=label))
        except UnsealError:
            raise BackupDamagedError(self.key_id) from None

    def read_opened(self, opened: SecretBytes) -> PrivateKey:
        """The private key in what was unsealed, if it is the one that the backup names.

        Raises:
            BackupDamagedError: it is not.
        """
        try:
            key = PrivateKey.from_json(opened)
        except (MalformedDocumentError, InputError):
            raise BackupDamagedError(self.key_id) from None
        if key.public_key != self.public_key:
            raise BackupDamagedError(self.key_id)
        return key


def backup_context(environment: str, participant: str, key: PublicKey) -> dict[str, str]:
    """What the KMS copy of a key is bound to."""
    return {
        "pqtransfer:purpose": CONTEXT_PURPOSE,
        "pqtransfer:environment": environment,
        "pqtransfer:participant": participant,
        "pqtransfer:key_id": key.key_id,
    }


def seal_for_recovery(key: PrivateKey, recovery_key: PublicKey, *, environment: str, participant: str) -> bytes:
    """The copy of a private key that the recovery key alone opens.

    Raises:
        NotARecoveryKeyError: `recovery_key` is not a KEM key of PQT-2.
    """
    require_recovery_key(recovery_key)
    label = _recovery_label(environment, participant, key.public_key.key_id)
    return seal_to_key(key.to_json(), recovery_key, label=label)


def require_recovery_key(key: PublicKey) -> PublicKey:
    """The key, if backups can be sealed to it.

    Raises:
        NotARecoveryKeyError: it is not a KEM key of PQT-2.
    """
    if key.purpose is not KeyPurpose.KEM or key.suite_id != RECOVERY_SUITE_ID:
        raise NotARecoveryKeyError(key)
    return key


def _recovery_label(environment: str, participant: str, key_id: str) -> bytes:
    bound = write_canonical_json({"environment": environment, "key_id": key_id, "participant": participant})
    return BACKUP_LABEL + hashlib.sha384(bound).digest()
