"""Backups in memory, sealed to a recovery key that the tests have both halves of."""

from typing import Any

from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.keys.backups import KeyBackups
from pqtransfer.keys.in_memory import InMemoryBackups, InMemorySealer

RECOVERY_KEY = PrivateKey(KeyPurpose.KEM, "PQT-2", SecretBytes(bytes(range(32))))


def make_backups(store: Any = None, *, sealer: Any = None, environment: str = "dev") -> KeyBackups:
    """The backups of an environment, in `store` or in a new one."""
    return KeyBackups(
        environment=environment,
        store=store or InMemoryBackups(),
        sealer=sealer or InMemorySealer(),
        recovery_key=RECOVERY_KEY.public_key,
    )
