"""Make a directory that appears whole: it is built under a hidden name beside its place and renamed when it is done."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pqtransfer.sdk.local_errors import DirectoryMissingError, UploadBusyError, explain_os_errors
from pqtransfer.sdk.local_upload import name_partial, synchronise_directory
from pqtransfer.transfers.folder import ObjectExistsError


@contextmanager
def build_directory(path: Path) -> Iterator[Path]:
    """A directory to fill; it becomes `path` when the block ends well, and is removed when it does not.

    What a killed process left is removed first. Of two processes at work on one path, the second is refused (flock).

    Raises:
        ObjectExistsError: `path` exists and is not an empty directory.
        DirectoryMissingError: its parent is not there.
        UploadBusyError: another process is building it.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link at the name itself
    _require_free(path)
    if not path.parent.is_dir():
        raise DirectoryMissingError(path.parent)
    building = name_partial(path)
    with explain_os_errors(path):
        building.mkdir(exist_ok=True)
        descriptor = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(descriptor, path)
        _remove_entries(building)
        try:
            yield building
            with explain_os_errors(path):
                if path.is_dir():
                    building.chmod(path.stat().st_mode & 0o7777)
                _rename(building, path)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _require_free(path: Path) -> None:
    if os.path.lexists(path):
        with explain_os_errors(path):
            if path.is_symlink() or not path.is_dir() or any(path.iterdir()):
                raise ObjectExistsError(str(path))


def _rename(building: Path, path: Path) -> None:
    """`rename` replaces an empty directory and nothing else."""
    synchronise_directory(building)
    try:
        building.rename(path)
    except OSError as error:
        _require_free(path)
        raise error
    synchronise_directory(path.parent)


def _remove_entries(directory: Path) -> None:
    with explain_os_errors(directory):
        for entry in directory.iterdir():
            entry.unlink()


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UploadBusyError(path) from None
