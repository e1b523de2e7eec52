"""A report on a log that is too large for one run: what is added up so far, and how far, kept between two runs."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pqtransfer.audit.activity import Activity
from pqtransfer.audit.activity_file import ACTIVITY_LIMIT_BYTES, MalformedActivityError, read_activity, write_activity
from pqtransfer.audit.cursors import CURSOR_LIMIT_BYTES, CheckCursor, MalformedCursorError
from pqtransfer.audit.report_model import Framework
from pqtransfer.audit.sequencer import PublishedCheckpoint

NOTHING_LEFT = b"-\n"
"""What stands there when a report is made."""


class Documents(Protocol):
    """Where the parts are kept: nobody else can write there."""

    def find(self, path: str, *, limit_bytes: int) -> PublishedCheckpoint | None: ...

    def replace(self, path: str, data: bytes, *, etag: str | None) -> None:
        """
        Raises:
            LogMovedError: another one is there.
        """


@dataclass(frozen=True)
class Part:
    """What was added up of the period, and from where on to go on; nothing yet, at the beginning."""

    activity: Activity
    cursor: CheckCursor | None = None


class PartMemory:
    """The parts of one report."""

    def __init__(self, documents: Documents, *, since: datetime, until: datetime, framework: Framework) -> None:
        self._documents = documents
        wanted = f"{since.timestamp()} {until.timestamp()} {framework}"
        self._path = f"reporter/{hashlib.sha256(wanted.encode()).hexdigest()[:32]}"
        self._etag: str | None = None
        self.began_again = False
        """What was kept could not be read, and is not gone on from."""

    def load(self) -> Part | None:
        """What the run before has left. What cannot be read counts as nothing: `save` puts a new beginning there."""
        found = self._documents.find(self._path, limit_bytes=ACTIVITY_LIMIT_BYTES + CURSOR_LIMIT_BYTES)
        self._etag = found.etag if found else None
        if found is None or found.data == NOTHING_LEFT:
            return None
        activity, _, cursor = found.data.partition(b"\n")
        try:
            return Part(read_activity(activity), CheckCursor.from_bytes(cursor))
        except (MalformedActivityError, MalformedCursorError):
            self.began_again = True
            return None

    def save(self, part: Part) -> None:
        """
        Raises:
            LogMovedError: another run has gone on from what was loaded.
            MalformedActivityError: it is more than `load` reads; nothing was written.
        """
        if part.cursor is not None:
            activity = write_activity(part.activity)
            if len(activity) > ACTIVITY_LIMIT_BYTES:
                raise MalformedActivityError(f"it has {len(activity)} bytes, of at most {ACTIVITY_LIMIT_BYTES}")
            data = activity + b"\n" + part.cursor.to_bytes()
            self._documents.replace(self._path, data, etag=self._etag)

    def forget(self) -> None:
        """The report is made.

        Raises:
            LogMovedError: another run has gone on from what was loaded.
        """
        if self._etag is not None:
            self._documents.replace(self._path, NOTHING_LEFT, etag=self._etag)
