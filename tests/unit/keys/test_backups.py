"""Backups of keys: made once, restored into memory, and proven."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.identity import generate_identity
from pqtransfer.crypto.key_backup import BackupDamagedError, BackupOfAnotherError
from pqtransfer.crypto.keypairs import KeyPurpose, generate_private_key
from pqtransfer.keys.backups import (
    BackupMissingError,
    KeyBackups,
    KeyProofError,
    name_backup,
    prove_key,
    restore_into_memory,
)
from pqtransfer.keys.in_memory import InMemoryBackups, InMemorySealer
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion, make_key_versions
from tests.fakes.backups import make_backups

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Damage = Callable[[InMemoryBackups, list[KeyVersion]], Any]


def back_up_two(backups: KeyBackups) -> list[KeyVersion]:
    keys: list[KeyVersion] = []
    for name in ("site-a", "site-b"):
        identity = generate_identity(name, suite_id="PQT-1")
        kem, _ = make_key_versions(identity.to_public(), version=1, state=KeyState.ACTIVE, created_at=NOW)
        backups.make(kem, identity.kem, at=NOW)
        keys.append(kem)
    return keys


def restore(backups: KeyBackups, key: KeyVersion, *, environment: str = "dev") -> Any:
    return restore_into_memory(key, environment=environment, store=backups.store, sealer=backups.sealer)


@pytest.mark.requirement("D4.2")
def test_a_backup_is_restored_and_proven() -> None:
    """What comes back belongs to the registered public key; a second backup changes nothing."""
    backups = make_backups()
    key = back_up_two(backups)[0]
    restored = restore(backups, key)
    assert restored.public_key == key.public_key
    before = backups.store.read(name_backup(key), limit_bytes=1 << 20)
    backups.make(key, restored, at=NOW)
    assert backups.hold(key)
    assert backups.store.read(name_backup(key), limit_bytes=1 << 20) == before


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda store, _: store.documents.clear(), BackupMissingError),
        (lambda store, keys: store.documents.update({name_backup(keys[0]): b"{}"}), MalformedDocumentError),
        (
            lambda store, keys: store.documents.update({name_backup(keys[0]): b"x" * (1 << 20)}),
            MalformedDocumentError,
        ),
        (
            lambda store, keys: store.documents.update({name_backup(keys[0]): store.documents[name_backup(keys[1])]}),
            BackupOfAnotherError,
        ),
        (
            lambda store, keys: store.documents.update(
                {name_backup(keys[0]): store.documents[name_backup(keys[0])].replace(b"dGlja2V0", b"dGlja2V1")}
            ),
            BackupDamagedError,
        ),
    ],
)
def test_a_backup_that_is_no_good(damage: Damage, error: type[Exception]) -> None:
    """Missing, not a backup, too large, of somebody else, damaged: each is told apart."""
    store = InMemoryBackups()
    backups = make_backups(store)
    keys = back_up_two(backups)
    damage(store, keys)
    with pytest.raises(error):
        restore(backups, keys[0])


def test_a_backup_of_another_environment() -> None:
    """Is refused by its own word, and by the context under which KMS sealed it."""
    store, sealer = InMemoryBackups(), InMemorySealer()
    key = back_up_two(make_backups(store, sealer=sealer, environment="staging"))[0]
    with pytest.raises(BackupOfAnotherError, match="staging"):
        restore(make_backups(store, sealer=sealer), key)
    name = name_backup(key)
    store.documents[name] = store.documents[name].replace(b'"staging"', b'"dev"')
    with pytest.raises(BackupDamagedError):
        restore(make_backups(store, sealer=sealer), key)


def test_nobody_backs_up_another_key() -> None:
    """The private half must be that of the key it is filed under."""
    backups = make_backups()
    key = back_up_two(backups)[0]
    with pytest.raises(KeyProofError):
        backups.make(key, generate_private_key(KeyPurpose.KEM, "PQT-1"), at=NOW)


@pytest.mark.parametrize("purpose", KeyPurpose)
@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_a_key_is_proven_by_using_it(purpose: KeyPurpose, suite_id: str) -> None:
    """Both halves of one key pass; halves of two do not."""
    one, two = (generate_private_key(purpose, suite_id) for _ in range(2))
    prove_key(one, one.public_key)
    with pytest.raises(KeyProofError):
        prove_key(one, two.public_key)
