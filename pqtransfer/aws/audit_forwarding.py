"""Brings what is spooled to the queue: the events of this process, and of processes that died before theirs arrived."""

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock, Thread

from pqtransfer.audit.messages import EVENTS_AT_MOST
from pqtransfer.audit.producing import EventSink, SpoolRefusedError
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.audit_spool import SpoolFile, find_spools

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""Between two tries while the queue is down; and between two looks for spools that were left behind."""
GATHER_SECONDS = 0.1
"""From the first event that waits to the message that takes it, and all that came meanwhile, along."""
CLOSE_WITHIN_SECONDS = 5.0

logger = logging.getLogger(__name__)


class SpoolForwarder:
    """`EventSpool` on a file, with a thread that empties it. The thread ends with `close`, or with the process."""

    def __init__(self, directory: Path, *, sink: EventSink, limit_bytes: int) -> None:
        """
        Raises:
            SpoolRefusedError: the directory takes no spool.
        """
        self._directory = directory
        self._sink = sink
        self._spool = SpoolFile.create(directory, limit_bytes=limit_bytes)
        self._wake = Event()
        self._closing = Event()
        self._sending = Lock()
        self._thread = Thread(target=self._run, name="audit-forwarder", daemon=True)

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def append(self, entries: Sequence[bytes]) -> None:
        self._spool.append(entries)
        self._wake.set()

    def forward(self) -> None:
        """Send everything that is pending: this producer's events, then those that others left behind.

        Raises:
            AuditUnavailableError: the queue takes nothing; what was not sent is kept.
        """
        with self._sending:
            self._empty(self._spool)
            for path in find_spools(self._directory):
                left_behind = None if path == self._spool.path else SpoolFile.take_over(path)
                if left_behind is not None:
                    try:
                        self._empty(left_behind)
                    finally:
                        left_behind.close()

    def close(self, *, within_seconds: float = CLOSE_WITHIN_SECONDS) -> None:
        """Send what can be sent in that time. The rest stays in the file, for the next process in this directory."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)
        if not self._thread.is_alive():
            self._spool.close()

    def _empty(self, spool: SpoolFile) -> None:
        while (events := spool.read_pending(events_at_most=EVENTS_AT_MOST)).entries:
            self._sink.send(events.entries)
            spool.mark_sent(events)

    def _run(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            is_last = self._closing.is_set()
            self._wake.clear()
            is_done = self._try_to_forward()
            if is_last:
                return
            if is_done:
                pause_seconds = FIRST_PAUSE_SECONDS
                if self._wake.wait(LONGEST_PAUSE_SECONDS):
                    self._closing.wait(GATHER_SECONDS)
            else:
                self._closing.wait(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    def _try_to_forward(self) -> bool:
        try:
            self.forward()
        except (AuditUnavailableError, SpoolRefusedError, OSError) as error:  # a disk that answers again later, too
            logger.warning("audit events wait in %s: %s", self._directory, error)
            return False
        return True
