"""A producer: gives each event its number, id and time, and does not return before it is durable.

With a spool (a file that outlives the process) that is where an event becomes durable, and somebody else brings it to
the queue. Without one, or when the spool takes nothing, it goes to the queue at once.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol
from uuid import uuid4

from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.errors import UnavailableError


class SpoolRefusedError(UnavailableError):
    """The spool is full, or the disk does not take it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the spool of the audit log takes nothing: {reason}; see that the audit queue can be reached")


class EventSink(Protocol):
    """The queue."""

    def send(self, entries: Sequence[bytes]) -> None:
        """Hand events over durably, in their order. The same events again do no harm.

        Raises:
            AuditUnavailableError: not all of them were taken, or it is not known.
        """


class EventSpool(Protocol):
    """What keeps events until the queue has them."""

    def append(self, entries: Sequence[bytes]) -> None:
        """Keep events durably, behind those that are there.

        Raises:
            SpoolRefusedError: it did not. They may come to the queue all the same.
        """


class ProducerTrail:
    """`AuditTrail` of one producer. Its events are made durable one after the other, whatever thread they come from.

    An event of which it is not known whether the queue took it keeps its number: the same bytes go first next time.
    So `AuditUnavailableError` says that work must not be acknowledged, not that the log will never tell of it.
    Times never run backwards within a producer, even if the clock does.
    """

    def __init__(
        self,
        producer: str,
        *,
        sink: EventSink,
        now_ms: Callable[[], int],
        spool: EventSpool | None = None,
        make_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """
        Args:
            producer: the name of this running instance, which nobody else has or had: `make_producer_name`.
            sink: the queue.
            now_ms: the clock, POSIX milliseconds.
            spool: a file that outlives this process, where there is one.
            make_id: a new UUID.
        """
        self.producer = producer
        self._sink = sink
        self._spool = spool
        self._now_ms = now_ms
        self._make_id = make_id
        self._lock = Lock()
        self._last_number = 0
        self._last_time_ms = 0
        self._unsettled: Sequence[bytes] = ()

    def record(self, *facts: AuditFacts) -> None:
        if not facts:
            return
        with self._lock:
            self._settle()
            self._unsettled = self._number(facts)
            self._settle()

    def _number(self, facts: Sequence[AuditFacts]) -> Sequence[bytes]:
        """The events. Numbers are used up only when every event can be written."""
        time_ms = max(self._now_ms(), self._last_time_ms)
        entries = [
            AuditEvent(
                **dict(each), producer=self.producer, sequence=number, event_id=self._make_id(), time_ms=time_ms
            ).to_json()
            for number, each in enumerate(facts, self._last_number + 1)
        ]
        self._last_number += len(entries)
        self._last_time_ms = time_ms
        return entries

    def _settle(self) -> None:
        if self._unsettled and not self._keep():
            self._sink.send(self._unsettled)
        self._unsettled = ()

    def _keep(self) -> bool:
        if self._spool is None:
            return False
        try:
            self._spool.append(self._unsettled)
        except SpoolRefusedError:
            return False
        return True


def make_producer_name(service: str) -> str:
    """The name of a new instance of a service: no other one has it, so its numbers may begin at 1."""
    return f"{service.replace('_', '-')}/{uuid4().hex}"
