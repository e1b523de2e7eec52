"""Takes events and the clock's ticks, and changes alerts by the rules: each change recorded, and written once.

A change is read, decided, recorded in the audit log and written under the condition that nobody was faster; then what
follows from it is done: what may be tried is tried, and who is to be told is told. Whatever ends in between is taken up
by the clock, as it stands in the alert itself.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from functions.process_alerts.delivering import Deliverer
from functions.process_alerts.recovering import Recoveries
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_policy import AlertPolicy
from pqtransfer.operations.alert_records import AlertMovedError, AlertNotFoundError, AlertRecord, AlertStore
from pqtransfer.operations.alerting import AlertRules, Change
from pqtransfer.operations.deliveries import Route
from pqtransfer.operations.events import UnknownEvent, read_event
from pqtransfer.operations.signals import Signal
from pqtransfer.operations.silences import Silence
from pqtransfer.recording.alerts import AlertFacts

SERVICE = "process-alerts"
TRIES_AT_MOST = 20
DUE_AT_MOST = 200

logger = logging.getLogger(__name__)

Step = Callable[[AlertRules, AlertRecord | None], Change]


class Watch(Protocol):
    """Looks for what no event tells of."""

    def look(self, *, at: datetime, alerts: Sequence[AlertRecord]) -> Sequence[Signal]:
        """What is seen, and what is over of `alerts`, those that are open."""


@dataclass(frozen=True)
class AlertService:
    """The alerts of one environment."""

    store: AlertStore
    trail: AuditTrail
    routes: Sequence[Route]
    deliverer: Deliverer
    recoveries: Recoveries
    watch: Watch
    now: Callable[[], datetime]
    has_time: Callable[[], bool]
    policy: AlertPolicy = field(default_factory=AlertPolicy)

    def take(self, body: str) -> bool:
        """One event came in, as JSON text; whether it was understood.

        Raises:
            PqtransferError: something does not answer; the event is to come again.
        """
        event = read_event(body)
        if isinstance(event, UnknownEvent):
            at = self.now()
            self.store.keep_unknown(
                event.event_id, shape=event.shape, body=event.body, at=at, expires_at=at + self.policy.kept_for
            )
            signals: tuple[Signal, ...] = (event.to_signal(at=at),)
            logger.warning("event of an unknown shape", extra={"shape": event.shape, "reason": event.reason})
        else:
            signals = event.signals
        for signal in signals:
            self.take_signal(signal)
        return not isinstance(event, UnknownEvent)

    def take_signal(self, signal: Signal) -> AlertRecord:
        """One thing was seen."""
        return self.change(signal.alert_id, lambda rules, record: rules.take(record, signal))

    def tick(self) -> int:
        """The clock: go on with every alert that is due, then look around; how many were due.

        One that fails holds up none, nor does a look that fails: the run counts as failed when all else is done.
        """
        due = self.store.list_due(at=self.now(), limit=DUE_AT_MOST)
        failed: PqtransferError | None = None
        for alert_id in due:
            if not self.has_time():
                break
            try:
                self.change(alert_id, _advance)
            except PqtransferError as error:
                logger.exception("an alert could not be gone on with", extra={"alert_id": alert_id})
                failed = error
        failed = self._look_around() or failed
        if failed is not None:
            raise failed
        return len(due)

    def _look_around(self) -> PqtransferError | None:
        """Take what no event tells of; what went wrong with it last."""
        failed: PqtransferError | None = None
        try:
            seen = self.watch.look(at=self.now(), alerts=self.store.list_open()) if self.has_time() else ()
        except PqtransferError as error:
            logger.exception("nobody could look for transfers that stand still")
            return error
        for signal in seen:
            try:
                self.take_signal(signal)
            except PqtransferError as error:
                logger.exception("what was seen could not be taken", extra={"alert_id": signal.alert_id})
                failed = error
        return failed

    def acknowledge(self, alert_id: str, *, by: str, is_over: bool) -> AlertRecord:
        """Somebody takes care of an alert, or says that it is over.

        Raises:
            AlertNotFoundError, AlertEndedError: there is nothing to take care of.
        """
        facts = AlertFacts(by)

        def step(rules: AlertRules, record: AlertRecord | None) -> Change:
            if record is None:
                raise AlertNotFoundError(alert_id)
            return rules.resolve(record, by=by) if is_over else rules.acknowledge(record, by=by)

        return self.change(alert_id, step, facts=facts)

    def silence(self, silence: Silence) -> None:
        """Have nobody told of some alerts, for a time.

        Raises:
            InvalidSilenceError: for too long.
        """
        silence.require_short(at_most=self.policy.silence_at_most)
        self.trail.record(AlertFacts(silence.made_by).silenced(silence))
        self.store.add_silence(silence)

    def end_silence(self, silence_id: str, *, by: str) -> None:
        """People are told again; of what is silenced, at once."""
        self.trail.record(AlertFacts(by).unsilenced(silence_id))
        self.store.end_silence(silence_id)
        for record in self.store.list_open():
            if record.silenced_until is not None:
                self.change(record.alert_id, _end_silence)

    def change(self, alert_id: str, step: Step, *, facts: AlertFacts | None = None) -> AlertRecord:
        """Take a step with an alert, and do what follows from it.

        Raises:
            AlertMovedError: it was changed by others each time.
            PqtransferError: something does not answer.
        """
        said_by = facts or AlertFacts(SERVICE)
        silences = self.store.list_silences(at=self.now())
        for _ in range(TRIES_AT_MOST):
            rules = AlertRules(now=self.now(), routes=self.routes, silences=silences, policy=self.policy)
            before = self.store.find(alert_id)
            change = step(rules, before)
            if change.happened:
                self.trail.record(*(said_by.happened(change.record, kind) for kind in change.happened))
            saved = self.store.save(
                change.record, due_at=rules.find_due(change.record), expires_at=rules.find_expiry(change.record)
            )
            if saved is not None:
                return self.deliverer.deliver(self.recoveries.recover(saved, rules), rules)
        raise AlertMovedError(alert_id)


def _end_silence(rules: AlertRules, record: AlertRecord | None) -> Change:
    if record is None or record.silenced_until is None:
        raise AlertNotFoundError("that is silenced")
    return rules.advance(record.change(silenced_until=rules.now))


def _advance(rules: AlertRules, record: AlertRecord | None) -> Change:
    if record is None:
        raise AlertNotFoundError("that is due")
    return rules.advance(record)
