"""Sends what is due of an alert: claimed first, so that one at a time does it; recorded; and settled afterwards.

What was sent is settled whether or not the audit log takes it: it is not sent again, and is due until it is recorded.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_records import AlertMovedError, AlertRecord, AlertStore
from pqtransfer.operations.alerting import NOTIFICATION_FAILED, AlertRules
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity
from pqtransfer.operations.channels import Sender, Sent
from pqtransfer.operations.deliveries import Delivery
from pqtransfer.recording.alerts import AlertFacts

TRIES_AT_MOST = 20
NEVER_ENDED = "each try of it was interrupted"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a try ended, and whether the audit log has it."""

    sent: Sent
    is_recorded: bool


Outcomes = dict[tuple[int, str], Outcome]


@dataclass(frozen=True)
class Deliverer:
    """Tells people. `run_id` is who claims a delivery: this run of the function."""

    store: AlertStore
    sender: Sender
    trail: AuditTrail
    alerts: Alerts
    facts: AlertFacts
    run_id: str

    def deliver(self, record: AlertRecord, rules: AlertRules) -> AlertRecord:
        """Send everything that is due, and settle it: done, later, or given up with an alert of its own.

        Raises:
            PqtransferError: something does not answer; what was claimed comes again when the claim is over.
        """
        due = [each for each in record.deliveries if each.due_at <= rules.now]
        if not due:
            return record
        claimed = self._write(record, rules, self._claim)
        if claimed is None:
            return record  # somebody else was faster, and sends it
        for delivery in due:
            if delivery.is_used_up:
                self._give_up(claimed, delivery, delivery.last_error or NEVER_ENDED, rules)
        mine = [each for each in claimed.deliveries if each.claimed_by == self.run_id and each.due_at > rules.now]
        outcomes: Outcomes = {}
        unrecorded: PqtransferError | None = None
        for delivery in mine:
            sent = Sent() if delivery.is_told else self.sender.send(claimed, delivery)
            if sent.error is not None:
                logger.warning("a notification failed: %s: %s", delivery.channel, sent.error)
            try:
                self.trail.record(self.facts.delivered(claimed, delivery, error=sent.error))
                outcomes[delivery.number, delivery.channel] = Outcome(sent, is_recorded=True)
            except PqtransferError as error:
                outcomes[delivery.number, delivery.channel] = Outcome(sent, is_recorded=False)
                unrecorded = error
        settled = self._settle(claimed, rules, outcomes)
        if unrecorded is not None:
            raise unrecorded
        return settled

    def _claim(self, record: AlertRecord, rules: AlertRules) -> tuple[Delivery, ...]:
        left = (each for each in record.deliveries if each.due_at > rules.now or not each.is_used_up)
        return tuple(each.claim(by=self.run_id, at=rules.now) if each.due_at <= rules.now else each for each in left)

    def _settle(self, record: AlertRecord, rules: AlertRules, outcomes: Outcomes) -> AlertRecord:
        def settle(current: AlertRecord, rules: AlertRules) -> tuple[Delivery, ...]:
            settled = (self._settle_one(each, rules, outcomes) for each in current.deliveries)
            return tuple(each for each in settled if each is not None)

        current: AlertRecord | None = record
        for _ in range(TRIES_AT_MOST):
            if current is None:
                return record
            written = self._write(current, rules, settle)
            if written is not None:
                self._give_up_each(current, written, rules, outcomes)
                return written
            current = self.store.find(record.alert_id)
        raise AlertMovedError(record.alert_id)

    def _settle_one(self, delivery: Delivery, rules: AlertRules, outcomes: Outcomes) -> Delivery | None:
        outcome = outcomes.get((delivery.number, delivery.channel))
        if outcome is None or delivery.claimed_by != self.run_id:
            return delivery
        sent = outcome.sent
        if sent.error is None:
            return None if outcome.is_recorded else delivery.keep_told(at=rules.now)
        if sent.is_final:
            return None
        return delivery.postpone(at=rules.now, error=sent.error, retry_after=sent.retry_after)

    def _give_up_each(self, before: AlertRecord, after: AlertRecord, rules: AlertRules, outcomes: Outcomes) -> None:
        """Say so of each that failed and is not tried again, now that this is written."""
        left = {(each.number, each.channel) for each in after.deliveries}
        for delivery in before.deliveries:
            name = delivery.number, delivery.channel
            error = outcomes[name].sent.error if name in outcomes else None
            if error is not None and name not in left:
                self._give_up(after, delivery, error, rules)

    def _give_up(self, record: AlertRecord, delivery: Delivery, error: str, rules: AlertRules) -> None:
        """Others are told, over the channels that are left."""
        logger.error("a notification was given up: %s: %s", delivery.channel, error)
        self.alerts.raise_alert(
            Alert(
                code=NOTIFICATION_FAILED,
                key=f"{NOTIFICATION_FAILED}:{delivery.channel}",
                severity=AlertSeverity.HIGH,
                summary=f"nobody is told over {delivery.channel}: {error}",
                remedy="follow docs/runbooks/notification-failed.md",
                raised_at=rules.now,
                correlation_id=record.lead.correlation_id,
                details={"channel": delivery.channel, "alert_id": record.alert_id, "error": error[:256]},
            )
        )

    def _write(
        self,
        record: AlertRecord,
        rules: AlertRules,
        change: Callable[[AlertRecord, AlertRules], tuple[Delivery, ...]],
    ) -> AlertRecord | None:
        after = record.change(deliveries=change(record, rules))
        return self.store.save(after, due_at=rules.find_due(after), expires_at=rules.find_expiry(after))
