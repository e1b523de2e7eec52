"""What the operating system refuses, as errors that say which path it was and how to mend it."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pqtransfer.errors import AccessError, InputError, PqtransferError, UnavailableError
from pqtransfer.transfers.folder import ObjectExistsError, ObjectMissingError

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(UnavailableError):
    """The file system has no room for what is to be written."""

    def __init__(self, path: Path, *, needed_bytes: int) -> None:
        free_bytes = _count_free_bytes(path.parent)
        super().__init__(
            f"{path} needs {needed_bytes} bytes, and {free_bytes} are free there; "
            "nothing was left behind: make room or choose another disk, and run it again"
        )
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class FileTooLargeError(InputError):
    """The file system, or a limit of this process, does not allow a file of this size."""

    def __init__(self, path: Path, *, needed_bytes: int) -> None:
        super().__init__(
            f"{path} would have {needed_bytes} bytes, more than its file system or `ulimit -f` allows; "
            "choose another disk or raise the limit"
        )


class NotAFileError(InputError):
    """A path is a directory, a device, a pipe or a socket, where a regular file is needed."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(f"{path} is {found}, not a regular file; name a file")


class PathDeniedError(AccessError):
    """The operating system denies access to a path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"access to {path} is denied; check its owner and its mode with `ls -ld`")


class DirectoryMissingError(InputError):
    """The directory to write into does not exist."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is not a directory; create it first, or check the path")


class NameTooLongError(InputError):
    """A file name is longer than its file system allows, with what is added to it while it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name[:80]}... is too long a name for its file system; choose one of at most 200 bytes")


class DiskError(UnavailableError):
    """The operating system could not read or write."""


class UploadBusyError(InputError):
    """Another process is writing this file."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"another process is writing {path}; wait until it has ended, or choose another name")


@contextmanager
def explain_os_errors(path: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn an `OSError` about `path` into one of this project's errors. A broken pipe and an interrupt pass.

    Raises:
        ObjectMissingError, ObjectExistsError, NotAFileError, PathDeniedError, DiskFullError, FileTooLargeError,
        NameTooLongError, DiskError: what the operating system said.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _translate(error, path, needed_bytes) from error


def _translate(error: OSError, path: Path, needed_bytes: int) -> PqtransferError:
    if error.errno in _DISK_FULL:
        return DiskFullError(path, needed_bytes=needed_bytes)
    if error.errno == errno.EFBIG:
        return FileTooLargeError(path, needed_bytes=needed_bytes)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ObjectMissingError(str(path))
    if isinstance(error, FileExistsError):
        return ObjectExistsError(str(path))
    if isinstance(error, IsADirectoryError):
        return NotAFileError(path, "a directory")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return PathDeniedError(path)
    if error.errno == errno.ENAMETOOLONG:
        return NameTooLongError(path)
    if error.errno == errno.ELOOP:
        return NotAFileError(path, "a symbolic link that leads nowhere or in a circle")
    return DiskError(f"{path}: {error.strerror or error}")


def _count_free_bytes(directory: Path) -> int:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return 0
