"""Alerts, senders and recoveries in memory."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.channels import Sent
from pqtransfer.operations.deliveries import Delivery
from pqtransfer.operations.recovery import RecoveryKind, RecoveryOutcome
from pqtransfer.operations.signals import Signal
from pqtransfer.operations.silences import Silence


class InMemoryAlertStore:
    """`AlertStore` that keeps its promises. `overtake`, when set, is called before a write, as by somebody faster."""

    def __init__(self) -> None:
        self.records: dict[str, AlertRecord] = {}
        self.due: dict[str, datetime] = {}
        self.expiry: dict[str, datetime | None] = {}
        self.silences: dict[str, Silence] = {}
        self.unknown: dict[str, tuple[str, str, datetime, datetime]] = {}
        self.writes = 0
        self.overtake: Callable[[], None] | None = None

    def find(self, alert_id: str) -> AlertRecord | None:
        return self.records.get(alert_id)

    def save(self, record: AlertRecord, *, due_at: datetime | None, expires_at: datetime | None) -> AlertRecord | None:
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            overtake()
        current = self.records.get(record.alert_id)
        if (current.revision if current else 0) != record.revision:
            return None
        written = AlertRecord.model_validate_json(record.change(revision=record.revision + 1).model_dump_json())
        self.records[record.alert_id] = written
        self.due.pop(record.alert_id, None)
        if due_at is not None:
            self.due[record.alert_id] = due_at
        self.expiry[record.alert_id] = expires_at
        self.writes += 1
        return written

    def list_open(self) -> Sequence[AlertRecord]:
        return [each for each in self.records.values() if each.is_open]

    def list_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        due = sorted((due_at, alert_id) for alert_id, due_at in self.due.items() if due_at <= at)
        return [alert_id for _, alert_id in due][:limit]

    def list_silences(self, *, at: datetime) -> Sequence[Silence]:
        return [each for each in self.silences.values() if each.expires_at > at]

    def add_silence(self, silence: Silence) -> None:
        self.silences[silence.silence_id] = silence

    def end_silence(self, silence_id: str) -> None:
        self.silences.pop(silence_id, None)

    def keep_unknown(self, event_id: str, *, shape: str, body: str, at: datetime, expires_at: datetime) -> None:
        self.unknown[event_id] = (body, shape, at, expires_at)

    @property
    def only(self) -> AlertRecord:
        """The one alert that there is."""
        (record,) = self.records.values()
        return record


class RecordingSender:
    """`Sender` that keeps what it sent; `answers` says for a channel what the tries end in, one after the other."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Delivery, AlertRecord]] = []
        self.answers: dict[str, list[Sent]] = {}

    def send(self, record: AlertRecord, delivery: Delivery) -> Sent:
        self.sent.append((delivery.channel, delivery, record))
        answers = self.answers.get(delivery.channel)
        return answers.pop(0) if answers else Sent()

    def kinds(self, channel: str = "email") -> list[str]:
        """Why people were told over a channel, in order."""
        return [delivery.kind.value for name, delivery, _ in self.sent if name == channel]


class RecordingRecoverer:
    """`Recoverer` that keeps what it was to do, and answers as it is told."""

    def __init__(self) -> None:
        self.done: list[tuple[RecoveryKind, str]] = []
        self.failure: PqtransferError | None = None

    def recover(self, kind: RecoveryKind, target: str) -> tuple[RecoveryOutcome, str]:
        self.done.append((kind, target))
        if self.failure is not None:
            raise self.failure
        return RecoveryOutcome.DONE, "done"


class StillWatch:
    """`Watch` that sees what it is given."""

    def __init__(self, *signals: Signal) -> None:
        self.signals = list(signals)
        self.looked: list[tuple[datetime, int]] = []

    def look(self, *, at: datetime, alerts: Sequence[AlertRecord]) -> Sequence[Signal]:
        seen, self.signals = self.signals, []
        self.looked.append((at, len(alerts)))
        return seen
