"""Read a local file in ranges by many threads, and notice when it changes.

A file's state is its inode, its modification time and its size. They are compared after every read, so that bytes of a
file that is being rewritten never reach a container. Memory: one slice for each thread that reads.
"""

import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.sdk.local_errors import NotAFileError, explain_os_errors
from pqtransfer.transfers.folder import SourceChangedError

_FILE_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file_state(status: os.stat_result) -> str:
    """The ETag of a local file: what tells this state of it from every other."""
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"


def require_regular_file(path: Path, status: os.stat_result) -> None:
    """Check that a path is a regular file (a symbolic link to one is followed).

    Raises:
        NotAFileError: it is something else.
    """
    if not stat.S_ISREG(status.st_mode):
        found = next((name for is_kind, name in _FILE_KINDS if is_kind(status.st_mode)), "something special")
        raise NotAFileError(path, found)


class LocalSource:
    """One state of one local file: a `RangeSource`."""

    def __init__(self, path: Path, *, etag: str) -> None:
        """Open the file.

        Raises:
            SourceChangedError: it is no longer in the state `etag`.
            ObjectMissingError, PathDeniedError, NotAFileError: it cannot be opened.
        """
        self._path = path
        self._etag = etag
        with explain_os_errors(path):
            # O_NONBLOCK: opening a pipe would otherwise wait for a writer. It changes nothing for regular files.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        require_regular_file(path, os.fstat(self._descriptor))
        self._require_unchanged()

    def read(self, byte_range: ByteRange, *, slice_size_bytes: int) -> Iterator[memoryview]:
        """Exactly the bytes of the range, in slices of that size, in a buffer that the next slice overwrites.

        Raises:
            SourceChangedError: the file was changed, or is shorter than it was.
            DiskError: the disk cannot be read.
        """
        buffer = memoryview(bytearray(min(slice_size_bytes, byte_range.length)))
        for start in range(byte_range.start, byte_range.end, slice_size_bytes):
            view = buffer[: byte_range.end - start]
            self._fill(view, start)
            yield view

    def close(self) -> None:
        """Close the file. Also happens when the source is no longer used."""
        self._close()

    def _fill(self, view: memoryview, start: int) -> None:
        filled = 0
        with explain_os_errors(self._path):
            while filled < len(view):
                count = os.preadv(self._descriptor, [view[filled:]], start + filled)
                if count == 0:
                    raise SourceChangedError(str(self._path))
                filled += count
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        if read_file_state(os.fstat(self._descriptor)) != self._etag:
            raise SourceChangedError(str(self._path))
