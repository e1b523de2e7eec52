"""The audit trail of commands without a cloud: events wait in a spool until a process with a queue finds it there."""

import atexit
import time
from collections.abc import Sequence
from pathlib import Path

from pqtransfer.audit.events import AuditFacts
from pqtransfer.audit.producing import ProducerTrail, make_producer_name
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.audit_spool import SpoolFile

SERVICE = "offline"


class NoQueue:
    """An `EventSink` for where there is none."""

    def send(self, entries: Sequence[bytes]) -> None:  # noqa: ARG002 - the port's
        raise AuditUnavailableError("its spool takes nothing, and there is no queue without a deployment")


class SpooledTrail:
    """An `AuditTrail` into a directory. Its file is made with the first event.

    Any connected process that is given the same directory brings the events to its queue.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trail: ProducerTrail | None = None

    def record(self, *facts: AuditFacts) -> None:
        """
        Raises:
            AuditUnavailableError, SpoolRefusedError: the directory takes nothing.
        """
        if self._trail is None:
            spool = SpoolFile.create(self._directory)
            atexit.register(spool.close)
            self._trail = ProducerTrail(
                make_producer_name(SERVICE), sink=NoQueue(), spool=spool, now_ms=lambda: time.time_ns() // 1_000_000
            )
        self._trail.record(*facts)
