"""A report on a log that is too large for one run: what is added up so far, and how far, kept between two runs."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pqtransfer.audit.activity import Activity
from pqtransfer.audit.activity_file import ACTIVITY_LIMIT_BYTES, read_activity, write_activity
from pqtransfer.audit.cursors import CURSOR_LIMIT_BYTES, CheckCursor
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

    def load(self) -> Part | None:
        """
        Raises:
            MalformedActivityError, MalformedCursorError: it is not what was kept.
        """
        found = self._documents.find(self._path, limit_bytes=ACTIVITY_LIMIT_BYTES + CURSOR_LIMIT_BYTES)
        self._etag = found.etag if found else None
        if found is None or found.data == NOTHING_LEFT:
            return None
        activity, _, cursor = found.data.partition(b"\n")
        return Part(read_activity(activity), CheckCursor.from_bytes(cursor))

    def save(self, part: Part) -> None:
        """
        Raises:
            LogMovedError: another run has gone on from what was loaded.
        """
        if part.cursor is not None:
            data = write_activity(part.activity) + b"\n" + part.cursor.to_bytes()
            self._documents.replace(self._path, data, etag=self._etag)

    def forget(self) -> None:
        """The report is made.

        Raises:
            LogMovedError: another run has gone on from what was loaded.
        """
        if self._etag is not None:
            self._documents.replace(self._path, NOTHING_LEFT, etag=self._etag)
