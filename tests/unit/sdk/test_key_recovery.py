"""Restoring keys from backup files with the recovery key alone: no cloud, no registry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pqtransfer.crypto.canonical_json import MalformedDocumentError
from pqtransfer.crypto.identity import PrivateIdentity, generate_identity
from pqtransfer.crypto.key_backup import BackupDamagedError, BackupOfAnotherError, KeyBackup, WrongRecoveryKeyError
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, generate_private_key
from pqtransfer.keys.backups import name_backup
from pqtransfer.keys.in_memory import InMemoryBackups
from pqtransfer.keys.lifecycle import KeyState
from pqtransfer.keys.participant import KeyVersion
from pqtransfer.sdk.key_recovery import NoBackupsError, load_recovery_key, make_recovery_key, restore_offline
from pqtransfer.sdk.keyfiles import ExposedKeyError, KeysExistError, load_private_identity, load_public_identity
from tests.fakes.backups import make_backups

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def write_backups(folder: Path, recovery: Path, *keys: tuple[str, PrivateKey], environment: str = "dev") -> list[Path]:
    """Back keys up, and copy the backups into a folder as `aws s3 sync` would."""
    store, paths = InMemoryBackups(), []
    backups = make_backups(store, environment=environment)
    backups = type(backups)(environment, store, backups.sealer, load_recovery_key(recovery).public_key)
    for age, (name, key) in enumerate(keys):
        version = KeyVersion(
            participant=name,
            version=1,
            public_key=key.public_key,
            state=KeyState.ACTIVE,
            created_at=NOW,
            activated_at=NOW,
        )
        backups.make(version, key, at=NOW + timedelta(days=age))
        path = folder / name_backup(version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.documents[name_backup(version)])
        paths.append(path)
    return paths


@pytest.fixture
def recovery(tmp_path: Path) -> Path:
    make_recovery_key(tmp_path / "recovery")
    return tmp_path / "recovery"


@pytest.fixture
def identity() -> PrivateIdentity:
    return generate_identity("site-a", suite_id="PQT-1")


@pytest.mark.requirement("D4.2")
def test_key_directories_are_made_from_backups_alone(tmp_path: Path, recovery: Path, identity: PrivateIdentity) -> None:
    """One for each KEM key, with the newest signing key: what was ever wrapped to the participant opens again."""
    newer_kem, newer_signing = (generate_private_key(purpose, "PQT-1") for purpose in KeyPurpose)
    keys = [("site-a", key) for key in (identity.kem, identity.signing, newer_kem, newer_signing)]
    write_backups(tmp_path / "backups", recovery, *keys)
    found = restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out")
    assert found.unusable == ()
    assert {each.kem_key_id for each in found.restored} == {
        identity.kem.public_key.key_id,
        newer_kem.public_key.key_id,
    }
    for each in found.restored:
        restored = load_private_identity(each.directory)
        assert restored.kem.public_key.key_id == each.kem_key_id
        assert restored.signing.to_json() == newer_signing.to_json()
        load_public_identity(each.directory)


def test_what_is_no_good_does_not_stop_the_rest(tmp_path: Path, recovery: Path, identity: PrivateIdentity) -> None:
    """Damaged, not a backup, of another environment: named with the file; the others are restored."""
    backups = tmp_path / "backups"
    write_backups(backups, recovery, ("site-a", identity.kem), ("site-a", identity.signing))
    [damaged] = write_backups(backups, recovery, ("site-b", generate_private_key(KeyPurpose.KEM, "PQT-1")))
    backup = KeyBackup.from_json(damaged.read_bytes())
    damaged.write_bytes(backup.model_copy(update={"recovery_sealed": b"x" * 1800}).to_json())
    (backups / "notes.json").write_text("{}")
    write_backups(backups, recovery, ("site-c", generate_private_key(KeyPurpose.KEM, "PQT-1")), environment="staging")
    found = restore_offline(backups=backups, recovery=recovery, out=tmp_path / "out", environment="dev")
    assert [each.participant for each in found.restored] == ["site-a"]
    assert {type(each.error) for each in found.unusable} == {
        BackupDamagedError,
        MalformedDocumentError,
        BackupOfAnotherError,
    }


def test_the_wrong_recovery_key(tmp_path: Path, recovery: Path, identity: PrivateIdentity) -> None:
    """Every file says which one is needed."""
    write_backups(tmp_path / "backups", recovery, ("site-a", identity.kem), ("site-a", identity.signing))
    make_recovery_key(tmp_path / "other")
    found = restore_offline(backups=tmp_path / "backups", recovery=tmp_path / "other", out=tmp_path / "out")
    assert found.restored == ()
    assert {type(each.error) for each in found.unusable} == {WrongRecoveryKeyError}
    assert not (tmp_path / "out").exists()


def test_one_participant_alone(tmp_path: Path, recovery: Path, identity: PrivateIdentity) -> None:
    """The others are left where they are."""
    other = generate_identity("site-b", suite_id="PQT-2")
    keys = [("site-a", identity.kem), ("site-a", identity.signing), ("site-b", other.kem), ("site-b", other.signing)]
    write_backups(tmp_path / "backups", recovery, *keys)
    found = restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out", participant="site-b")
    assert [each.participant for each in found.restored] == ["site-b"]


def test_nothing_to_restore(tmp_path: Path, recovery: Path) -> None:
    """An empty folder is more likely a slip than a wish."""
    (tmp_path / "backups").mkdir()
    with pytest.raises(NoBackupsError):
        restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out")


def test_nothing_is_overwritten(tmp_path: Path, recovery: Path, identity: PrivateIdentity) -> None:
    """Neither restored keys nor a recovery key: on the second one, all backups stand that were made so far."""
    write_backups(tmp_path / "backups", recovery, ("site-a", identity.kem), ("site-a", identity.signing))
    for number in range(2):
        if number == 0:
            restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out")
            continue
        with pytest.raises(KeysExistError):
            restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out")
    with pytest.raises(KeysExistError):
        make_recovery_key(recovery)


def test_a_recovery_key_that_others_can_read(recovery: Path) -> None:
    """Is refused, as every private key file."""
    (recovery / "recovery-private-key.json").chmod(0o644)
    with pytest.raises(ExposedKeyError):
        load_recovery_key(recovery)


@pytest.mark.requirement("D4.2")
def test_a_damaged_signing_backup_keeps_no_kem_key_back(
    tmp_path: Path, recovery: Path, identity: PrivateIdentity
) -> None:
    """What was sent to its participant opens all the same, everybody else is restored, and the answer says so."""
    other = generate_identity("site-b", suite_id="PQT-1")
    keys = [(name, key) for name, of in (("site-a", identity), ("site-b", other)) for key in (of.kem, of.signing)]
    kem, signing, *_ = write_backups(tmp_path / "backups", recovery, *keys)
    signing.write_bytes(signing.read_bytes()[:-20])
    found = restore_offline(backups=tmp_path / "backups", recovery=recovery, out=tmp_path / "out")
    assert [(each.participant, each.kem_key_id) for each in found.restored] == [
        ("site-a", identity.kem.public_key.key_id),
        ("site-b", other.kem.public_key.key_id),
    ]
    assert {(each.path, each.error.code) for each in found.unusable} == {
        (signing, "MalformedDocument"),
        (kem, "NoSigningKey"),
    }
    restored = load_private_identity(found.restored[0].directory)
    assert restored.kem.to_json() == identity.kem.to_json()
    assert restored.signing.public_key != identity.signing.public_key
