"""Recovery keys, and restoring private keys from backups without any cloud: files and the recovery key are enough.

make_recovery_key(Path("recovery"))
restore_offline(backups=Path("backups"), recovery=Path("recovery"), out=Path("restored"))
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pqtransfer.crypto.identity import PrivateIdentity
from pqtransfer.crypto.key_backup import (
    BACKUP_LIMIT_BYTES,
    RECOVERY_SUITE_ID,
    BackupOfAnotherError,
    KeyBackup,
    require_recovery_key,
)
from pqtransfer.crypto.keypairs import KeyPurpose, PrivateKey, PublicKey, generate_private_key
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError, PqtransferError
from pqtransfer.sdk.keyfiles import KeysExistError, read_key_file, save_identity, write_key_file
from pqtransfer.sdk.local_errors import explain_os_errors

RECOVERY_PUBLIC_NAME = "recovery-public-key.json"
RECOVERY_PRIVATE_NAME = "recovery-private-key.json"
KEY_ID_DIGITS = 16


class NoBackupsError(InputError):
    """A directory holds no backup."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} holds no backups; copy the bucket of backups there: "
            f"aws s3 sync s3://BUCKET/backups {path} (or from its replica)"
        )


class NoSigningKeyError(InputError):
    """A KEM key was restored, and no signing key of its suite: its directory has a new one, which nobody knows."""

    def __init__(self, participant: str, key_id: str) -> None:
        super().__init__(
            f"no signing key that goes with KEM key {key_id[:KEY_ID_DIGITS]} of {participant} could be restored; what "
            "was sent to it can be opened all the same, but nobody accepts what the new signing key beside it signs; "
            "to have the old one, copy all of the participant's backups, and restore into another directory"
        )


@dataclass(frozen=True)
class RestoredKeys:
    """One key directory that was made: a KEM key, and the participant's newest signing key."""

    participant: str
    environment: str
    kem_key_id: str
    signing_key_id: str
    directory: Path


@dataclass(frozen=True)
class UnusableBackup:
    """A file that could not be used, and why."""

    path: Path
    error: PqtransferError


@dataclass(frozen=True)
class OfflineRestore:
    """What became of the backups in a directory."""

    restored: tuple[RestoredKeys, ...]
    unusable: tuple[UnusableBackup, ...]


@dataclass(frozen=True)
class _Opened:
    path: Path
    backup: KeyBackup
    key: PrivateKey

    @property
    def made_at(self) -> datetime:
        return self.backup.created_at


def make_recovery_key(directory: Path) -> PublicKey:
    """Make a recovery key: the public half is for the deployment, the private half goes where no cloud reaches.

    Raises:
        KeysExistError: there is one in the directory.
        PathDeniedError, DiskFullError: it cannot be written.
    """
    public, private = directory / RECOVERY_PUBLIC_NAME, directory / RECOVERY_PRIVATE_NAME
    for path in (public, private):
        if path.exists():
            raise KeysExistError(path)
    with explain_os_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = generate_private_key(KeyPurpose.KEM, RECOVERY_SUITE_ID)
    write_key_file(private, key.to_json().reveal(), mode=0o600)
    write_key_file(public, key.public_key.to_json(), mode=0o644)
    return key.public_key


def load_recovery_key(path: Path) -> PrivateKey:
    """The private recovery key in a file, or in the directory that `make_recovery_key` filled.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError, ExposedKeyError: it cannot be read, or others could.
        MalformedDocumentError, NotARecoveryKeyError: it is none.
    """
    file = path / RECOVERY_PRIVATE_NAME if path.is_dir() else path
    key = PrivateKey.from_json(SecretBytes(read_key_file(file, private=True)))
    require_recovery_key(key.public_key)
    return key


def restore_offline(
    *, backups: Path, recovery: Path, out: Path, environment: str | None = None, participant: str | None = None
) -> OfflineRestore:
    """Make key directories from backup files: `OUT/PARTICIPANT/KEM_KEY_ID`, one for each KEM key.

    Each holds that KEM key and the participant's newest signing key of its suite, so that everything that was ever
    wrapped to the participant can be opened. A file that cannot be used does not keep the others from being restored:
    a KEM key whose participant has no usable signing key left stands beside a new one, and in the answer as unusable.

    Args:
        environment: refuse backups of any other one.
        participant: leave out everybody else.

    Raises:
        NoBackupsError: nothing to restore.
        WrongRecoveryKeyError, ...: what `load_recovery_key` raises; files that do not open are in the answer.
        KeysExistError: a key directory is there; nothing is overwritten.
    """
    recovery_key = load_recovery_key(recovery)
    opened: dict[str, list[_Opened]] = defaultdict(list)
    unusable: list[UnusableBackup] = []
    files = list(_find_files(backups))
    for path in files:
        try:
            found = _open(path, recovery_key, environment=environment)
        except PqtransferError as error:
            unusable.append(UnusableBackup(path, error))
            continue
        if participant in (None, found.backup.participant):
            opened[found.backup.participant].append(found)
    if not files or not (opened or unusable):
        raise NoBackupsError(backups)
    restored: list[RestoredKeys] = []
    for name in sorted(opened):
        restored.extend(_save_pairs(name, opened[name], out / name, unusable))
    return OfflineRestore(tuple(restored), tuple(unusable))


def _find_files(directory: Path) -> Iterator[Path]:
    with explain_os_errors(directory):
        yield from sorted(path for path in directory.rglob("*.json") if path.is_file())


def _open(path: Path, recovery_key: PrivateKey, *, environment: str | None) -> _Opened:
    backup = KeyBackup.from_json(read_key_file(path, private=False, limit_bytes=BACKUP_LIMIT_BYTES))
    if environment is not None and backup.environment != environment:
        raise BackupOfAnotherError(asked=environment, found=backup.environment)
    return _Opened(path, backup, backup.open_with_recovery_key(recovery_key))


def _save_pairs(
    name: str, opened: list[_Opened], directory: Path, unusable: list[UnusableBackup]
) -> Iterator[RestoredKeys]:
    signing = sorted((each for each in opened if each.key.purpose is KeyPurpose.SIGNING), key=lambda each: each.made_at)
    for each in sorted(opened, key=lambda one: one.made_at):
        if each.key.purpose is not KeyPurpose.KEM:
            continue
        fitting = [
            one.key
            for one in signing
            if (one.key.suite_id, one.backup.environment) == (each.key.suite_id, each.backup.environment)
        ]
        if not fitting:
            unusable.append(UnusableBackup(each.path, NoSigningKeyError(name, each.backup.key_id)))
            fitting = [generate_private_key(KeyPurpose.SIGNING, each.key.suite_id)]
        place = directory / each.backup.key_id[:KEY_ID_DIGITS]
        public = save_identity(PrivateIdentity(name, kem=each.key, signing=fitting[-1]), place)
        yield RestoredKeys(name, each.backup.environment, public.kem.key_id, public.signing.key_id, place)
