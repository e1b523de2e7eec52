"""Sends what is due of an alert: claimed first, so that one at a time does it; recorded; and settled afterwards."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.operations.alert_records import AlertMovedError, AlertRecord, AlertStore
from pqtransfer.operations.alerting import NOTIFICATION_FAILED, AlertRules
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity
from pqtransfer.operations.channels import Sender, Sent
from pqtransfer.operations.deliveries import Delivery
from pqtransfer.recording.alerts import AlertFacts

TRIES_AT_MOST = 20

logger = logging.getLogger(__name__)

Outcomes = dict[tuple[int, str], Sent]


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
        mine = [each for each in claimed.deliveries if each.claimed_by == self.run_id]
        outcomes: Outcomes = {}
        for delivery in mine:
            sent = self.sender.send(claimed, delivery)
            self.trail.record(self.facts.delivered(claimed, delivery, error=sent.error))
            outcomes[delivery.number, delivery.channel] = sent
            if sent.error is not None:
                logger.warning("a notification failed: %s: %s", delivery.channel, sent.error)
        return self._settle(claimed, rules, outcomes)

    def _claim(self, record: AlertRecord, rules: AlertRules) -> tuple[Delivery, ...]:
        return tuple(
            each.claim(by=self.run_id, at=rules.now) if each.due_at <= rules.now else each for each in record.deliveries
        )

    def _settle(self, record: AlertRecord, rules: AlertRules, outcomes: Outcomes) -> AlertRecord:
        def settle(current: AlertRecord, rules: AlertRules) -> tuple[Delivery, ...]:
            settled = (self._settle_one(current, each, rules, outcomes) for each in current.deliveries)
            return tuple(each for each in settled if each is not None)

        current: AlertRecord | None = record
        for _ in range(TRIES_AT_MOST):
            if current is None:
                return record
            written = self._write(current, rules, settle)
            if written is not None:
                return written
            current = self.store.find(record.alert_id)
        raise AlertMovedError(record.alert_id)

    def _settle_one(
        self, record: AlertRecord, delivery: Delivery, rules: AlertRules, outcomes: Outcomes
    ) -> Delivery | None:
        sent = outcomes.get((delivery.number, delivery.channel))
        if sent is None or delivery.claimed_by != self.run_id:
            return delivery
        if sent.error is None:
            return None
        later = None
        if not sent.is_final:
            later = delivery.postpone(at=rules.now, error=sent.error, retry_after=sent.retry_after)
        if later is None:
            self._give_up(record, delivery, sent.error, rules)
        return later

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
