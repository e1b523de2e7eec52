"""Read a file that must be small, and replace one so that a reader never sees half of it."""

import os
from pathlib import Path

from pqtransfer.errors import InputError
from pqtransfer.sdk.local_errors import explain_os_errors
from pqtransfer.sdk.local_source import require_regular_file
from pqtransfer.sdk.local_upload import name_partial, synchronise_directory


class OversizeFileError(InputError):
    """A file has more bytes than anything that could be meant."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        super().__init__(f"{path} has more than {limit_bytes} bytes, which no file of its kind has; check the path")


def read_small_file(path: Path, *, limit_bytes: int) -> bytes:
    """All of a file.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError, DiskError: it cannot be read.
        OversizeFileError: it has more than `limit_bytes`.
    """
    with explain_os_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            require_regular_file(path, os.fstat(descriptor))
            data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OversizeFileError(path, limit_bytes)
    return data


def replace_file(path: Path, data: bytes) -> None:
    """Write a file under a hidden name, make it durable, and give it its name: whole, or as it was before.

    Raises:
        ObjectMissingError, PathDeniedError, DiskFullError, DiskError: it cannot be written.
    """
    partial = name_partial(path)
    with explain_os_errors(path, needed_bytes=len(data)):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        synchronise_directory(path.parent)
