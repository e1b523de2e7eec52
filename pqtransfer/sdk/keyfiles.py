"""Key directories: `public-keys.json` to give away, `private-keys.json` to keep, in a directory of mode 0700.

Private keys are written with mode 0600 and refused when somebody else could read them, as ssh does.
"""

import os
import stat
from pathlib import Path

from pqtransfer.crypto.identity import IDENTITY_LIMIT_BYTES, PrivateIdentity, PublicIdentity
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError, InputError
from pqtransfer.sdk.local_errors import explain_os_errors
from pqtransfer.sdk.local_source import require_regular_file
from pqtransfer.sdk.local_upload import synchronise_directory

PUBLIC_KEYS_NAME = "public-keys.json"
PRIVATE_KEYS_NAME = "private-keys.json"

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ExposedKeyError(AccessError):
    """Private keys could be read or replaced by others."""

    def __init__(self, path: Path, *, mode: str) -> None:
        super().__init__(f"{path} is open to other users; close it with `chmod {mode} {path}` and run it again")


class KeysExistError(InputError):
    """There are keys already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists; keys are never overwritten: choose another directory")


def save_identity(identity: PrivateIdentity, directory: Path) -> PublicIdentity:
    """Write both key files into `directory`, which is made if it is not there, and return the public half.

    Raises:
        KeysExistError: one of the files exists.
        ExposedKeyError: the directory exists and others may write to it.
        PathDeniedError, DiskFullError: it cannot be written.
    """
    for name in (PUBLIC_KEYS_NAME, PRIVATE_KEYS_NAME):
        if os.path.lexists(directory / name):
            raise KeysExistError(directory / name)
    with explain_os_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(directory.iterdir()):
            directory.chmod(0o700)
        elif directory.stat().st_mode & _OTHERS_WRITE:
            raise ExposedKeyError(directory, mode="700")
    public = identity.to_public()
    write_key_file(directory / PRIVATE_KEYS_NAME, identity.to_json().reveal(), mode=0o600)
    try:
        write_key_file(directory / PUBLIC_KEYS_NAME, public.to_json(), mode=0o644)
    except BaseException:
        (directory / PRIVATE_KEYS_NAME).unlink()  # written a moment ago by this call; alone it would block the next one
        raise
    with explain_os_errors(directory):
        synchronise_directory(directory)
    return public


def load_public_identity(path: Path) -> PublicIdentity:
    """The identity in a `public-keys.json`, or in the directory that holds one; its keys and proof are checked.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError: there is no such file.
        MalformedDocumentError, UnknownSuiteError, InvalidKeyError, InvalidProofError: what is wrong with it.
    """
    return PublicIdentity.from_json(read_key_file(path / PUBLIC_KEYS_NAME if path.is_dir() else path, private=False))


def load_private_identity(path: Path) -> PrivateIdentity:
    """The identity in a `private-keys.json`, or in the directory that holds one.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError: there is no such file.
        ExposedKeyError: others may read or write it.
        MalformedDocumentError, UnknownSuiteError: what is wrong with it; the error shows nothing of it.
    """
    file = path / PRIVATE_KEYS_NAME if path.is_dir() else path
    return PrivateIdentity.from_json(SecretBytes(read_key_file(file, private=True)))


def read_key_file(path: Path, *, private: bool, limit_bytes: int = IDENTITY_LIMIT_BYTES) -> bytes:
    """A key file, at most one byte more than the limit.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError: there is no such file.
        ExposedKeyError: it is private, and others may read or write it.
    """
    with explain_os_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            require_regular_file(path, status)
            if private and status.st_mode & _OTHERS:
                raise ExposedKeyError(path, mode="600")
            return file.read(limit_bytes + 1)


def write_key_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a key file that is not there yet, durably.

    Raises:
        KeysExistError: it is there.
        PathDeniedError, DiskFullError: it cannot be written.
    """
    with explain_os_errors(path, needed_bytes=len(data)):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            raise KeysExistError(path) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            path.unlink()
            raise
