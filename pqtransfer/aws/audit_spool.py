"""A file that keeps audit events until the queue has them: one file for each running producer, which alone may use it.

    0     magic
    512   cursor A      generation, offset of the first event that was not sent, digest
    1024  cursor B
    4096  events        length (4 bytes), digest (16 bytes), event; then zeros, or what an older generation left

The cursors are written in turn, so that one of them is whole after any crash. A digest covers the generation and the
place: what was torn, and what is left of an older generation, is no event. When everything was sent, the file begins
anew with the next generation. Space is filled with zeros beforehand, which makes `fdatasync` as fast as it can be.
Disk <= the limit for each producer that runs or has died.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Self
from uuid import uuid4

from pqtransfer.audit.events import EVENT_LIMIT_BYTES
from pqtransfer.audit.producing import SpoolRefusedError

MAGIC = b"pqtransfer-audit-spool/1\n"
SUFFIX = ".spool"
CURSOR_PLACES = (512, 1024)
EVENTS_BEGIN = 4096
STEP_BYTES = 1 << 20
SPOOL_LIMIT_BYTES = 64 << 20
MARKS_BETWEEN_SYNCS = 8
"""Each for at most 48 events (`messages.EVENTS_AT_MOST`), of 512 that are recognized (`positions.RECENT_EVENTS`)."""
DIGEST_LENGTH_BYTES = 16
CURSOR = Struct(">QQ16s")
FRAME = Struct(">I16s")


@dataclass(frozen=True)
class SpooledEvents:
    """Events in their order, and the offset behind them."""

    entries: Sequence[bytes]
    end: int


class SpoolFile:
    """One spool. Whoever holds its lock (`flock`, which ends with the process) is its one user; threads share it."""

    def __init__(self, path: Path, descriptor: int, *, limit_bytes: int) -> None:
        """Use `create` or `take_over`. The descriptor is locked, and is this object's from now on."""
        self.path = path
        self._file = descriptor
        self._limit_bytes = limit_bytes
        self._lock = Lock()
        self._broken = ""
        self._unsynced_marks = 0
        self._generation, self._cursor = self._read_cursors()
        self._size = os.fstat(descriptor).st_size
        self._end = self._cursor
        for events in self._read_from(self._cursor):
            self._end = events.end

    @classmethod
    def create(cls, directory: Path, *, limit_bytes: int = SPOOL_LIMIT_BYTES) -> Self:
        """A new spool.

        Raises:
            SpoolRefusedError: the directory does not take it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            while True:
                path = directory / f"{uuid4().hex}{SUFFIX}"
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                # A process that looks for abandoned spools may have found it first.
                if _lock(descriptor):
                    break
                os.close(descriptor)
            os.pwrite(descriptor, MAGIC.ljust(STEP_BYTES, b"\0"), 0)
            os.pwrite(descriptor, _encode_cursor(1, EVENTS_BEGIN), CURSOR_PLACES[1])
            os.fsync(descriptor)
            _sync_directory(directory)
        except OSError as error:
            raise SpoolRefusedError(f"{directory} cannot be written ({error.strerror})") from None
        return cls(path, descriptor, limit_bytes=limit_bytes)

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """A spool whose producer has died; None when somebody uses it, or it is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        return cls(path, descriptor, limit_bytes=0)

    @property
    def is_drained(self) -> bool:
        """Every event was sent."""
        return self._cursor == self._end

    def append(self, entries: Sequence[bytes]) -> None:
        """Keep events durably. A crash in between keeps some of them, from the first on.

        Raises:
            SpoolRefusedError: it is full, or the disk does not take it.
        """
        with self._lock:
            if self._broken:
                raise SpoolRefusedError(self._broken)
            data = b"".join(self._frame(entries))
            if self._end + len(data) > self._limit_bytes:
                raise SpoolRefusedError(f"{self.path} has reached its limit of {self._limit_bytes} bytes")
            try:
                while self._end + len(data) > self._size:
                    self._size += os.pwrite(self._file, bytes(STEP_BYTES), self._size)
                _write(self._file, data, self._end)
                os.fdatasync(self._file)
            except OSError as error:
                # What the system still holds of it after a failed fsync, nobody can say.
                self._broken = f"{self.path} could not be written ({error.strerror})"
                raise SpoolRefusedError(self._broken) from None
            self._end += len(data)
            self._unsynced_marks = 0

    def read_pending(self, *, events_at_most: int) -> SpooledEvents:
        """The first events that were not sent."""
        with self._lock:
            begin, end, generation = self._cursor, self._end, self._generation
        entries, at = list[bytes](), begin
        for events in self._read_from(begin, generation):
            if len(entries) == events_at_most or at == end:
                break
            entries += events.entries
            at = events.end
        return SpooledEvents(entries, at)

    def mark_sent(self, events: SpooledEvents) -> None:
        """Do not read these events again. It becomes durable with the next event, or after some marks without one.

        A crash of the machine before that lets as many events be sent again as the sequencer recognizes.

        Raises:
            SpoolRefusedError: the disk does not take it.
        """
        with self._lock:
            self._cursor = events.end
            try:
                if self.is_drained and self._end > STEP_BYTES // 2:
                    self._generation, self._cursor, self._end = self._generation + 1, EVENTS_BEGIN, EVENTS_BEGIN
                    self._write_cursor()
                    os.fdatasync(self._file)
                    return
                self._write_cursor()
                self._unsynced_marks += 1
                if self._unsynced_marks == MARKS_BETWEEN_SYNCS:
                    os.fdatasync(self._file)
                    self._unsynced_marks = 0
            except OSError as error:
                self._broken = f"{self.path} could not be written ({error.strerror})"
                raise SpoolRefusedError(self._broken) from None

    def close(self) -> None:
        """Give the lock up, and delete the file when everything in it was sent."""
        with self._lock:
            if self._file < 0:
                return
            if self.is_drained:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file, self._broken = -1, f"{self.path} is closed"

    def _frame(self, entries: Sequence[bytes]) -> Iterator[bytes]:
        at = self._end
        for entry in entries:
            yield FRAME.pack(len(entry), _digest_event(self._generation, at, entry)) + entry
            at += FRAME.size + len(entry)

    def _read_from(self, at: int, generation: int | None = None) -> Iterator[SpooledEvents]:
        """One event after the other, up to the first place where none is whole."""
        generation = self._generation if generation is None else generation
        while True:
            head = os.pread(self._file, FRAME.size, at)
            if len(head) < FRAME.size:
                return
            length, digest = FRAME.unpack(head)
            if not 0 < length <= EVENT_LIMIT_BYTES:
                return
            entry = os.pread(self._file, length, at + FRAME.size)
            if _digest_event(generation, at, entry) != digest:
                return
            at += FRAME.size + length
            yield SpooledEvents((entry,), at)

    def _read_cursors(self) -> tuple[int, int]:
        """The newer one that is whole. A file that has none was never used."""
        found = [(1, EVENTS_BEGIN)]
        for place in CURSOR_PLACES:
            data = os.pread(self._file, CURSOR.size, place)
            if len(data) == CURSOR.size:
                generation, offset, _ = CURSOR.unpack(data)
                if _encode_cursor(generation, offset) == data:
                    found.append((generation, offset))
        self._place = 0
        return max(found)

    def _write_cursor(self) -> None:
        _write(self._file, _encode_cursor(self._generation, self._cursor), CURSOR_PLACES[self._place])
        self._place = 1 - self._place


def find_spools(directory: Path) -> list[Path]:
    """The spools in a directory, in a stable order."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def _digest_event(generation: int, offset: int, entry: bytes) -> bytes:
    place = generation.to_bytes(8, "big") + offset.to_bytes(8, "big")
    return hashlib.sha256(place + entry).digest()[:DIGEST_LENGTH_BYTES]


def _encode_cursor(generation: int, offset: int) -> bytes:
    numbers = generation.to_bytes(8, "big") + offset.to_bytes(8, "big")
    return CURSOR.pack(generation, offset, hashlib.sha256(b"cursor" + numbers).digest()[:DIGEST_LENGTH_BYTES])


def _lock(descriptor: int) -> bool:
    """Take the lock, unless somebody has it, or has deleted the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
