"""A producer: gives each event its number, id and time, and does not return before it is durable.

Threads that record at the same time share a message: while one is on its way, the others gather, and go with the next.

With a spool (a file that outlives the process) that is where an event becomes durable, and somebody else brings it to
the queue. Without one, or when the spool takes nothing, it goes to the queue at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Protocol
from uuid import uuid4

from pqtransfer.audit.errors import EventTooLargeError
from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.audit.messages import EVENTS_AT_MOST
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.errors import PqtransferError, UnavailableError


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


@dataclass(eq=False)
class _Call:
    """One call of `record`, which waits until its events are durable, or are known not to be."""

    facts: Sequence[AuditFacts]
    leads: bool = False
    awake: Event = field(default_factory=Event)
    error: PqtransferError | None = None
    refusal: EventTooLargeError | None = None


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
        source_address: str | None = None,
        make_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """
        Args:
            producer: the name of this running instance, which nobody else has or had: `make_producer_name`.
            sink: the queue.
            now_ms: the clock, POSIX milliseconds.
            spool: a file that outlives this process, where there is one.
            source_address: where this instance is in its network, if that says anything; for facts that have none.
            make_id: a new UUID.
        """
        self.producer = producer
        self._sink = sink
        self._spool = spool
        self._now_ms = now_ms
        self._source_address = source_address
        self._make_id = make_id
        self._gathering = Lock()
        self._is_sending = False
        self._calls: list[_Call] = []
        self._last_number = 0
        self._last_time_ms = 0
        self._unsettled: Sequence[bytes] = ()

    def record(self, *facts: AuditFacts) -> None:
        if not facts:
            return
        call = _Call(facts)
        try:
            with self._gathering:
                self._calls.append(call)
                call.leads, self._is_sending = not self._is_sending, True
            if not call.leads:
                call.awake.wait()
            if call.leads:
                self._lead()
        finally:
            self._leave(call)
        if call.error is not None:
            raise call.error

    def _lead(self) -> None:
        """Make the calls that wait durable, as far as one message has room; this one is the first of them."""
        gathered, count = list[_Call](), 0
        try:
            with self._gathering:
                while self._calls and (not gathered or count + len(self._calls[0].facts) <= EVENTS_AT_MOST):
                    gathered.append(self._calls.pop(0))
                    count += len(gathered[-1].facts)
            self._take(gathered)
        finally:
            for call in gathered:
                call.awake.set()
            with self._gathering:
                self._pass_on()

    def _leave(self, call: _Call) -> None:
        """A call that a signal has torn out of the line: nobody may wait for it."""
        with self._gathering:
            if call in self._calls:
                self._calls.remove(call)
                if call.leads:
                    self._pass_on()

    def _pass_on(self) -> None:
        """Let the first that waits lead, if one does."""
        self._is_sending = bool(self._calls)
        if self._calls:
            self._calls[0].leads = True
            self._calls[0].awake.set()

    def _take(self, calls: Sequence[_Call]) -> None:
        """Make the events of all of them durable; each call learns how its own went, whatever ends this one."""
        for call in calls:
            call.error = AuditUnavailableError("the thread that was to send the event has ended")
        try:
            self._settle()
            self._unsettled = [entry for call in calls for entry in self._number_call(call)]
            self._settle()
        except AuditUnavailableError as error:
            for call in calls:
                call.error = error
        else:
            for call in calls:
                call.error = call.refusal

    def _number_call(self, call: _Call) -> Sequence[bytes]:
        """The events of a call; none, if it cannot be written: that holds no other up."""
        try:
            return self._number(call.facts)
        except EventTooLargeError as error:
            call.refusal = error
            return ()

    def _number(self, facts: Sequence[AuditFacts]) -> Sequence[bytes]:
        """The events. Numbers are used up only when every event can be written."""
        time_ms = max(self._now_ms(), self._last_time_ms)
        entries = [
            AuditEvent(
                **{**dict(each), "source_address": each.source_address or self._source_address},
                producer=self.producer,
                sequence=number,
                event_id=self._make_id(),
                time_ms=time_ms,
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
