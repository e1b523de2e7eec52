"""Backups of private keys, as the domain sees them: where they are kept, who seals and opens them, and what is proven.

A key becomes ACTIVE only after its backup is durable, so there is no moment in which the only copy of a key in use
could be lost.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pqtransfer.crypto.key_backup import (
    BACKUP_LIMIT_BYTES,
    BackupDamagedError,
    KeyBackup,
    backup_context,
    seal_for_recovery,
)
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey
from pqtransfer.crypto.sealing import UnsealError, seal_to_key, unseal_with_keys
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError, IntegrityError
from pqtransfer.keys.participant import KeyVersion

PROOF_LABEL = b"pqtransfer/v1/key-proof"


class BackupMissingError(InputError):
    """There is no backup of this key."""

    def __init__(self, participant: str, key_id: str) -> None:
        super().__init__(
            f"key {key_id[:16]} of {participant} has no backup; make it with: pqtransfer keys backup --make-missing"
        )


class KeyProofError(IntegrityError):
    """A private key does not do what the registered public key needs."""

    def __init__(self, key: PublicKey) -> None:
        super().__init__(
            f"the private key does not belong to the registered {key.purpose} key {key.key_id[:16]}; "
            "it cannot be used, so keep the public key out of use until the right one is found"
        )


class BackupSealer(Protocol):
    """The cloud's key service: seals small secrets under a context, and opens them under the same one."""

    @property
    def key_name(self) -> str:
        """The key that seals, by its full name."""

    def seal(self, secret: SecretBytes, *, context: dict[str, str]) -> bytes:
        """The sealed secret."""

    def unseal(self, sealed: bytes, *, context: dict[str, str]) -> SecretBytes:
        """The secret.

        Raises:
            UnsealError: it is damaged, or was sealed under another context.
            CloudError: the key service refuses, or does not answer.
        """


class BackupStore(Protocol):
    """Where backup documents are kept: written once, and replaced only when an administrator says so."""

    def create(self, name: str, data: bytes) -> None:
        """Keep a document durably. Nothing happens when there is one of this name: a key has one backup."""

    def replace(self, name: str, data: bytes) -> None:
        """Keep a document durably in the place of the one of this name, which the store keeps as an older version."""

    def read(self, name: str, *, limit_bytes: int) -> bytes | None:
        """The document, at most `limit_bytes` + 1 of it; None when there is none."""

    def holds(self, name: str) -> bool:
        """True when there is a document of this name."""

    def remove(self, name: str) -> None:
        """Let a document go, once whatever holds it (Object Lock) allows; nothing happens when there is none."""

    def list_names(self, *, prefix: str = "") -> Iterator[str]:
        """Every name that begins with `prefix`, in order."""


@dataclass(frozen=True)
class KeyBackups:
    """The backups of one environment."""

    environment: str
    store: BackupStore
    sealer: BackupSealer
    recovery_key: PublicKey

    def make(self, key: KeyVersion, private_key: PrivateKey, *, at: datetime, replace: bool = False) -> None:
        """Back a key up, durably. Safe to repeat: the first backup stays, unless it is to be replaced.

        Raises:
            KeyProofError: the private key is not that of `key`.
            NotARecoveryKeyError: the recovery key is of the wrong kind.
        """
        if private_key.public_key != key.public_key:
            raise KeyProofError(key.public_key)
        context = backup_context(self.environment, key.participant, key.public_key)
        backup = KeyBackup(
            environment=self.environment,
            participant=key.participant,
            public_key=key.public_key,
            created_at=at,
            kms_key=self.sealer.key_name,
            kms_sealed=self.sealer.seal(private_key.to_json(), context=context),
            recovery_key_id=self.recovery_key.key_id,
            recovery_sealed=seal_for_recovery(
                private_key, self.recovery_key, environment=self.environment, participant=key.participant
            ),
        )
        write = self.store.replace if replace else self.store.create
        write(name_backup(key), backup.to_json())

    def hold(self, key: KeyVersion) -> bool:
        """True when the key is backed up."""
        return self.store.holds(name_backup(key))


def name_backup(key: KeyVersion) -> str:
    """Where the backup of a key is kept."""
    return f"{key.participant}/{key.purpose}/{key.key_id}.json"


def restore_into_memory(key: KeyVersion, *, environment: str, store: BackupStore, sealer: BackupSealer) -> PrivateKey:
    """The private key from its backup, by the way of KMS, proven to belong to the registered public key.

    Raises:
        BackupMissingError: there is no backup.
        MalformedDocumentError, BackupOfAnotherError, BackupDamagedError: the backup is no good.
        KeyProofError: what it holds is not the registered key.
    """
    data = store.read(name_backup(key), limit_bytes=BACKUP_LIMIT_BYTES)
    if data is None:
        raise BackupMissingError(key.participant, key.key_id)
    backup = KeyBackup.from_json(data)
    backup.require_of(environment=environment, participant=key.participant, key_id=key.key_id)
    try:
        opened = sealer.unseal(backup.kms_sealed, context=backup.context)
    except UnsealError:
        raise BackupDamagedError(key.key_id) from None
    private_key = backup.read_opened(opened)
    prove_key(private_key, key.public_key)
    return private_key


def prove_key(private_key: PrivateKey, public_key: PublicKey) -> None:
    """Use both halves once: sign and verify, or seal and open.

    Raises:
        KeyProofError: they do not belong together.
    """
    challenge = os.urandom(32)
    if private_key.public_key != public_key:
        raise KeyProofError(public_key)
    if public_key.purpose is KeyPurpose.SIGNING:
        signature = private_key.sign(challenge, context=PROOF_LABEL)
        if not public_key.verifies(signature, challenge, context=PROOF_LABEL):
            raise KeyProofError(public_key)
        return
    sealed = seal_to_key(SecretBytes(challenge), public_key, label=PROOF_LABEL)
    try:
        opened = unseal_with_keys(sealed, [private_key], label=PROOF_LABEL)
    except UnsealError:
        raise KeyProofError(public_key) from None
    if opened != SecretBytes(challenge):
        raise KeyProofError(public_key)
