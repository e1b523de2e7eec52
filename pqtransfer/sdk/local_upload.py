"""A file that is being written: a hidden partial file beside its final name, preallocated, locked, renamed when whole.

The partial file carries an advisory lock (flock) for as long as somebody writes it; the lock falls when the process
dies, however it dies. So a partial file without a lock is a leftover, and one with a lock is never touched.
"""

import errno
import fcntl
import os
import threading
import weakref
from pathlib import Path

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.sdk.local_errors import UploadBusyError, explain_os_errors
from pqtransfer.transfers.folder import ObjectExistsError

PARTIAL_SUFFIX = ".pqtransfer-partial"
SYNCHRONISED_TOGETHER_BYTES = 256 << 20
WRITTEN_TOGETHER_BYTES = 256 << 10
"""For larger writes the kernel looks for larger pages, at any price in CPU once its cache fills the memory."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def name_partial(path: Path) -> Path:
    """The partial file of a final path."""
    return path.with_name(f".{path.name}{PARTIAL_SUFFIX}")


class PartialFile:
    """An open, locked partial file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._partial = name_partial(path)
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._writing = threading.Lock()
        self._unsynchronised_bytes = 0

    @classmethod
    def create(cls, path: Path, *, size_bytes: int) -> "PartialFile":
        """Create the partial file of `path` with all its blocks reserved.

        Raises:
            ObjectExistsError: something stands under the final name.
            UploadBusyError: another process is writing it.
            DiskFullError, FileTooLargeError, PathDeniedError: it cannot be made; nothing is left behind.
        """
        if os.path.lexists(path):
            raise ObjectExistsError(str(path))
        cls.remove_stray(path)
        partial = name_partial(path)
        with explain_os_errors(path, needed_bytes=size_bytes):
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            created = cls(path, descriptor)
            try:
                created._lock()
                _reserve(descriptor, size_bytes)
            except BaseException:
                created.discard()
                raise
        return created

    @classmethod
    def reopen(cls, path: Path, *, upload_id: str) -> "PartialFile | None":
        """The partial file that an earlier process left, if it is the one of `upload_id`; None when it is not there.

        None too when the machine was restarted since: pages that were written but not synchronised may be lost.

        Raises:
            UploadBusyError: another process is writing it.
        """
        with explain_os_errors(path):
            try:
                descriptor = os.open(name_partial(path), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            found = cls(path, descriptor)
            found._lock()
        if not read_boot_id() or found.upload_id != upload_id:
            found.close()
            return None
        if path.exists() and path.samefile(name_partial(path)):  # died between link and unlink
            found.discard()
            return None
        return found

    @classmethod
    def remove_stray(cls, path: Path) -> None:
        """Remove a partial file that nobody writes any more.

        Raises:
            UploadBusyError: somebody does.
        """
        with explain_os_errors(path):
            try:
                descriptor = os.open(name_partial(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return
        stray = cls(path, descriptor)
        try:
            stray._lock()
            stray.discard()
        finally:
            stray.close()

    @property
    def upload_id(self) -> str:
        """Names this file, its reserved size, and the run of the machine in which it was written."""
        status = os.fstat(self._descriptor)
        return f"{read_boot_id()}:{status.st_dev}:{status.st_ino}:{status.st_size}"

    def write(self, data: memoryview, *, offset: int) -> None:
        """Write all of `data` at `offset`; called by many threads.

        One at a time: the kernel writes to a file under a lock that waiting threads spin on. And the disk is kept busy:
        a thread waits for it now and then while the others go on, so that little is left for `publish` to wait for.
        """
        written = 0
        with explain_os_errors(self.path, needed_bytes=len(data)):
            with self._writing:
                while written < len(data):
                    piece = data[written : written + WRITTEN_TOGETHER_BYTES]
                    written += os.pwrite(self._descriptor, piece, offset + written)
                self._unsynchronised_bytes += written
                synchronises = self._unsynchronised_bytes >= SYNCHRONISED_TOGETHER_BYTES
                if synchronises:
                    self._unsynchronised_bytes = 0
            if synchronises:
                os.fdatasync(self._descriptor)

    def publish(self) -> None:
        """Make the file durable and give it its final name, which must be free.

        Raises:
            ObjectExistsError: something stands under it; the partial file stays.
        """
        with explain_os_errors(self.path):
            os.fsync(self._descriptor)
            move_without_replacing(self._partial, self.path)
        self.close()

    def discard(self) -> None:
        """Remove the partial file, unless another process has put its own in its place."""
        with explain_os_errors(self.path):
            if self._has_its_name():
                self._partial.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file and its lock. What is written stays for a later process."""
        self._close()

    def _lock(self) -> None:
        """Lock the file, and make sure that it was not removed or replaced before the lock was had.

        Raises:
            UploadBusyError: another process was faster.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadBusyError(self.path) from None
        if not self._has_its_name():
            raise UploadBusyError(self.path)

    def _has_its_name(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._partial.lstat())
        except FileNotFoundError:
            return False


class PartWriter:
    """Writes one part to its place in a partial file, piece by piece. Memory: the largest piece."""

    def __init__(self, file: PartialFile, byte_range: ByteRange) -> None:
        self._file = file
        self._position = byte_range.start
        self._end = byte_range.end
        self._buffer = memoryview(bytearray())
        self._piece = self._buffer

    def take(self, length: int) -> memoryview:
        """A `Room`: writes the piece that was filled, and gives memory for the next one.

        Raises:
            ValueError: it would not be within the part.
        """
        self._write_piece()
        if self._position + length > self._end:
            raise ValueError(f"a part that ends at byte {self._end} has no room for {length} at {self._position}")
        if len(self._buffer) < length:
            self._buffer = memoryview(bytearray(length))
        self._piece = self._buffer[:length]
        return self._piece

    def finish(self) -> None:
        """Write the last piece.

        Raises:
            ValueError: the part is not whole.
        """
        self._write_piece()
        if self._position != self._end:
            raise ValueError(f"a part that ends at byte {self._end} was ended at {self._position}")

    def _write_piece(self) -> None:
        if self._piece:
            self._file.write(self._piece, offset=self._position)
            self._position += len(self._piece)
            self._piece = self._buffer[:0]


def move_without_replacing(source: Path, target: Path) -> None:
    """Rename, but never over something that exists, and make the rename durable.

    A hard link fails atomically when the target exists, which `rename` does not. On file systems without hard links
    the name is taken with an empty file first, which is just as exclusive but visible for a moment.

    Raises:
        OSError: `FileExistsError` among others.
    """
    try:
        os.link(source, target, follow_symlinks=False)
        source.unlink()
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        source.replace(target)
    synchronise_directory(target.parent)


def synchronise_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_boot_id() -> str:
    """Names the run of this machine since its last start; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _reserve(descriptor: int, size_bytes: int) -> None:
    """Give the file its size, with its blocks where the system can reserve them: a full disk shows at once."""
    if size_bytes and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
    else:
        os.ftruncate(descriptor, size_bytes)
