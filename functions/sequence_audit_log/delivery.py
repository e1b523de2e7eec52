"""One delivery of the queue: every event in it is appended, known, or kept as refused. Then its message may go."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from pqtransfer.audit.errors import LogMovedError, MalformedEventError, MalformedMessageError
from pqtransfer.audit.events import AuditEvent, read_event_header
from pqtransfer.audit.messages import unpack_message
from pqtransfer.audit.origins import Origin, find_misfit
from pqtransfer.audit.positions import RECENT_EVENTS
from pqtransfer.audit.sequencer import Sequencer
from pqtransfer.audit.urgent import find_urgent
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.errors import IntegrityError, PqtransferError
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity

T = TypeVar("T")

KEY_EXCHANGE_FAILED = "key-exchange-failed"
SAID_OF_EXCHANGE = ("code", "operation")
TEXT_AT_MOST = 100
"""Characters: what sites say is of any length."""
PRODUCERS_AT_MOST = 90
"""In one batch: DynamoDB moves 100 items together."""
TRIES = 8
"""Of one batch, while the sequencer of the other queue is faster."""


class RefusedStore(Protocol):
    """Where that is kept which is not in the log. `on_replace` is told of a file before it is written over."""

    on_replace: Callable[[str], None]

    def keep_refused(self, name: str, data: bytes) -> None:
        """Keep it durably. The same again is no error."""


@dataclass(frozen=True)
class Message:
    """A message of the queue."""

    id: str
    body: str


@dataclass
class Delivered:
    """What became of a delivery. `failed`: the messages that have to come again."""

    appended: int = 0
    repeated: int = 0
    refused: int = 0
    size: int | None = None
    gaps: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    failure: PqtransferError | None = None


@dataclass(frozen=True)
class Delivery:
    """Takes deliveries by its ports.

    Args:
        origin: the queue that this one came from.
        now: the time of this one.
        wait: is called after each race that was lost with how many were, so that the next one is won.
    """

    sequencer: Sequencer
    store: RefusedStore
    alerts: Alerts
    origin: Origin
    now: datetime
    wait: Callable[[int], None]

    def take(self, messages: Sequence[Message]) -> Delivered:
        """Append what is in the messages. The first message that fails, and all behind it, are named as failed."""
        done = Delivered()
        self.store.on_replace = self._tell_of_replaced
        owners, begin = list[int](), 0
        try:
            entries = self._unpack(messages, owners, done)
            if not entries:  # what an earlier run did not come to is done all the same
                self._try(lambda: self.sequencer.finish(time_seconds=self._time_seconds))
            for batch in _split(entries):
                self._append(batch, done)
                begin += len(batch)
        except PqtransferError as error:
            if isinstance(error, IntegrityError):
                self._tell_of_damage(error)
            done.failure = error
            done.failed = [message.id for message in messages[owners[begin] if begin < len(owners) else 0 :]]
        return done

    def _unpack(self, messages: Sequence[Message], owners: list[int], done: Delivered) -> list[bytes]:
        """The entries; `owners` gets the place of the message of each."""
        entries = list[bytes]()
        for place, message in enumerate(messages):
            try:
                found = unpack_message(message.body)
            except MalformedMessageError as error:
                self._refuse(message.body.encode(), str(error), done)
            else:
                fitting = [entry for entry in found if self._fits(entry, done)]
                entries += fitting
                owners += [place] * len(fitting)
        return entries

    def _fits(self, entry: bytes, done: Delivered) -> bool:
        """Whether it may have come from this queue; if not, it is refused. What is no event, the sequencer refuses."""
        try:
            event = AuditEvent.from_json(entry)
        except MalformedEventError:
            return True
        misfit = find_misfit(event.producer, event.action, self.origin)
        if misfit is not None:
            self._refuse(entry, misfit, done)
        return misfit is None

    def _append(self, batch: Sequence[bytes], done: Delivered) -> None:
        sequenced = self._try(lambda: self.sequencer.append(batch, time_seconds=self._time_seconds))
        for refusal in sequenced.refused:
            self._refuse(batch[refusal.place], refusal.reason, done)
        done.appended += sequenced.appended
        done.repeated += sequenced.repeated
        done.size = sequenced.state.size
        self._tell_of_urgent(batch)
        done.gaps |= {
            producer: sum(gap.last - gap.first + 1 for gap in gaps) for producer, gaps in sequenced.gaps.items()
        }

    def _try(self, step: Callable[[], T]) -> T:
        for lost in range(1, TRIES):
            try:
                return step()
            except LogMovedError:
                self.wait(lost)
        return step()

    @property
    def _time_seconds(self) -> int:
        return int(self.now.timestamp())

    def _refuse(self, data: bytes, reason: str, done: Delivered) -> None:
        digest = hashlib.sha256(data).hexdigest()
        document = {"data": base64.b64encode(data).decode(), "format": "pqtransfer-audit-refused/1", "reason": reason}
        self.store.keep_refused(digest, write_canonical_json(document))
        done.refused += 1
        self._alert(
            "audit-entry-refused",
            digest,
            AlertSeverity.HIGH,
            f"something came to the audit queue that is not in the log: {reason}",
            {"kept_at": f"refused/{digest}"},
        )

    def _tell_of_urgent(self, batch: Sequence[bytes]) -> None:
        """Also of what is in the log already: the run that appended it may have died before it told."""
        told = set[str]()
        for event in filter(None, map(find_urgent, batch)):
            about = f"{event.actor[:TEXT_AT_MOST]}:{event.target.id[:TEXT_AT_MOST]}"
            if about in told:
                continue
            told.add(about)
            details = {"event": event.event_id, "producer": event.producer, "correlation_id": event.correlation_id}
            said = {name: event.details[name][:TEXT_AT_MOST] for name in SAID_OF_EXCHANGE if event.details.get(name)}
            self._alert(
                KEY_EXCHANGE_FAILED,
                about,
                AlertSeverity.HIGH,
                f"a key exchange of {event.actor} failed in {event.target.type} {event.target.id}: {event.reason}",
                details | said,
            )

    def _tell_of_damage(self, error: IntegrityError) -> None:
        self.alerts.raise_alert(make_damage_alert(error, now=self.now))

    def _tell_of_replaced(self, path: str) -> None:
        """Before it is done: afterwards nothing would show it any more, if this run died or nobody could be told."""
        self._alert(
            "audit-log-tampered",
            path,
            AlertSeverity.CRITICAL,
            f"somebody wrote {path} before the sequencer did; the right bytes become the newest version",
            {"path": path},
        )

    def _alert(self, code: str, key: str, severity: AlertSeverity, summary: str, details: Mapping[str, str]) -> None:
        self.alerts.raise_alert(_make_alert(code, key, severity, summary, details, self.now))


def _split(entries: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Batches as large as the state can be moved by, and as repetitions are recognized in."""
    batch, producers = list[bytes](), set[str]()
    for entry in entries:
        try:
            producer = read_event_header(entry).producer
        except MalformedEventError:
            producer = ""
        if len(batch) == RECENT_EVENTS or len(producers | {producer}) > PRODUCERS_AT_MOST:
            yield batch
            batch, producers = [], set()
        batch.append(entry)
        producers.add(producer)
    if batch:
        yield batch


def make_damage_alert(error: IntegrityError, *, now: datetime) -> Alert:
    """What the administrators are told when nothing can be appended."""
    summary = f"the sequencer has stopped, and events wait in the queue: {error}"
    details = {"error": error.code}
    return _make_alert("audit-log-damaged", error.code, AlertSeverity.CRITICAL, summary, details, now)


def _make_alert(
    code: str, key: str, severity: AlertSeverity, summary: str, details: Mapping[str, str], now: datetime
) -> Alert:
    return Alert(
        code=code,
        key=f"{code}:{key}",
        severity=severity,
        summary=summary[:1024],
        remedy=f"follow docs/runbooks/{code}.md",
        raised_at=now,
        correlation_id=f"audit-log-{int(now.timestamp() * 1000)}",
        details=dict(details),
    )
