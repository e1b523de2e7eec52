"""A backup opens with what it was sealed for, and with nothing else."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.key_backup import (
    BackupDamagedError,
    BackupOfAnotherError,
    KeyBackup,
    NotARecoveryKeyError,
    WrongRecoveryKeyError,
    seal_for_recovery,
)
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, generate_private_key
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError, IntegrityError

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "key-backup.json"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RECOVERY_KEY = generate_private_key(KeyPurpose.KEM, "PQT-2")


def back_up(key: PrivateKey, *, environment: str = "dev", participant: str = "site-a") -> KeyBackup:
    return KeyBackup(
        environment=environment,
        participant=participant,
        public_key=key.public_key,
        created_at=NOW,
        kms_key="arn:aws:kms:eu-central-1:123456789012:key/backups",
        kms_sealed=b"sealed by another service",
        recovery_key_id=RECOVERY_KEY.public_key.key_id,
        recovery_sealed=seal_for_recovery(
            key, RECOVERY_KEY.public_key, environment=environment, participant=participant
        ),
    )


@pytest.mark.requirement("D4.2")
@pytest.mark.parametrize("purpose", KeyPurpose)
@pytest.mark.parametrize("suite_id", ["PQT-1", "PQT-2"])
def test_the_recovery_key_alone_opens_it(purpose: KeyPurpose, suite_id: str) -> None:
    """Written, read back and opened offline, it is the key."""
    key = generate_private_key(purpose, suite_id)
    restored = KeyBackup.from_json(back_up(key).to_json()).open_with_recovery_key(RECOVERY_KEY)
    assert restored.to_json() == key.to_json()


def test_another_recovery_key() -> None:
    """Is told apart from damage, and named."""
    other = generate_private_key(KeyPurpose.KEM, "PQT-2")
    with pytest.raises(WrongRecoveryKeyError, match=RECOVERY_KEY.public_key.key_id[:16]) as caught:
        back_up(generate_private_key(KeyPurpose.KEM, "PQT-1")).open_with_recovery_key(other)
    assert isinstance(caught.value, AccessError)


@pytest.mark.parametrize(
    "change",
    [
        {"environment": "production"},
        {"participant": "site-b"},
        {"recovery_sealed": b"x" * 1800},
        {"recovery_sealed": b"x"},
        {"public_key": generate_private_key(KeyPurpose.KEM, "PQT-1").public_key},
    ],
)
def test_a_backup_that_was_changed(change: dict[str, object]) -> None:
    """Relabelled for another environment, participant or key, or damaged: it does not open."""
    backup = back_up(generate_private_key(KeyPurpose.KEM, "PQT-1")).model_copy(update=change)
    with pytest.raises(BackupDamagedError) as caught:
        backup.open_with_recovery_key(RECOVERY_KEY)
    assert isinstance(caught.value, IntegrityError)


def test_a_backup_of_another() -> None:
    """What was asked for and what was found are both named."""
    backup = back_up(generate_private_key(KeyPurpose.KEM, "PQT-1"))
    backup.require_of(environment="dev", participant="site-a", key_id=backup.key_id)
    for asked in (("staging", "site-a", backup.key_id), ("dev", "site-b", backup.key_id), ("dev", "site-a", "0" * 64)):
        with pytest.raises(BackupOfAnotherError, match=asked[1]):
            backup.require_of(environment=asked[0], participant=asked[1], key_id=asked[2])


@pytest.mark.parametrize(("purpose", "suite_id"), [(KeyPurpose.SIGNING, "PQT-2"), (KeyPurpose.KEM, "PQT-1")])
def test_what_is_no_recovery_key(purpose: KeyPurpose, suite_id: str) -> None:
    """Backups outlive suites: nothing weaker than PQT-2 seals them."""
    weak = generate_private_key(purpose, suite_id).public_key
    with pytest.raises(NotARecoveryKeyError):
        seal_for_recovery(generate_private_key(KeyPurpose.KEM, "PQT-1"), weak, environment="dev", participant="site-a")


def test_what_is_no_backup() -> None:
    """Another spelling, another version, a field too many: refused before anything is opened."""
    data = back_up(generate_private_key(KeyPurpose.SIGNING, "PQT-1")).to_json()
    for wrong in (
        b"",
        b"{}",
        data + b" ",
        data.replace(b"key-backup/1", b"key-backup/2"),
        data.replace(b'"site-a"', b'"Site A"'),
        data.replace(b"{", b'{"a":1,', 1),
        data.replace(b"12:00:00Z", b"12:00:00+00:00"),
    ):
        with pytest.raises(MalformedDocumentError):
            KeyBackup.from_json(wrong)


@pytest.mark.requirement("N8")
def test_a_backup_shows_no_secret() -> None:
    """Neither its text nor its `repr` holds the seed."""
    key = generate_private_key(KeyPurpose.KEM, "PQT-1")
    backup = back_up(key)
    seed = key.to_json().reveal().split(b'"seed":"')[1].split(b'"')[0]
    assert seed not in backup.to_json()
    assert seed.decode() not in repr(backup)


@pytest.mark.requirement("D4.2")
@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["backups"], ids=lambda case: case["key_id"][:8])
def test_the_published_backups_open(case: dict[str, str]) -> None:
    """With the published recovery key, to the key of the published seed."""
    vectors = json.loads(VECTORS.read_text())
    recovery = PrivateKey(KeyPurpose.KEM, "PQT-2", SecretBytes(bytes.fromhex(vectors["recovery_seed"])))
    assert recovery.public_key.key_id == vectors["recovery_key_id"]
    backup = KeyBackup.from_json(case["backup"].encode())
    key = PrivateKey(KeyPurpose(case["purpose"]), case["suite"], SecretBytes(bytes.fromhex(case["seed"])))
    assert backup.key_id == key.public_key.key_id == case["key_id"]
    assert backup.open_with_recovery_key(recovery).to_json() == key.to_json()
