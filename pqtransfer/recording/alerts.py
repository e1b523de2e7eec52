"""The facts of alerts: what was raised, who took it, who was told, and what the system tried by itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.deliveries import Delivery, PageKind
from pqtransfer.operations.recovery import Recovery, RecoveryKind, RecoveryOutcome
from pqtransfer.operations.silences import Silence
from pqtransfer.recording.wording import fit_text

SEVERITIES = {
    AlertSeverity.CRITICAL: Severity.CRITICAL,
    AlertSeverity.HIGH: Severity.HIGH,
    AlertSeverity.WARNING: Severity.MEDIUM,
}
RAISE_ACTION = "alert.raise"
ESCALATE_ACTION = "alert.escalate"
ACKNOWLEDGE_ACTION = "alert.ack"
RESOLVE_ACTION = "alert.resolve"
ACTIONS = {
    PageKind.RAISED: RAISE_ACTION,
    PageKind.WORSE: RAISE_ACTION,
    PageKind.MORE: RAISE_ACTION,
    PageKind.FLAPPING: RAISE_ACTION,
    PageKind.ESCALATED: ESCALATE_ACTION,
    PageKind.REMINDER: ESCALATE_ACTION,
    PageKind.ACKNOWLEDGED: ACKNOWLEDGE_ACTION,
    PageKind.RESOLVED: RESOLVE_ACTION,
}
REPLACE_ACTION = "recovery.replace-task"
ROLL_BACK_ACTION = "recovery.roll-back"
REDRIVE_ACTION = "recovery.redrive"
RESTART_ACTION = "recovery.restart-transfer"
RECOVERY_ACTIONS = {
    RecoveryKind.REPLACE_TASK: REPLACE_ACTION,
    RecoveryKind.ROLL_BACK: ROLL_BACK_ACTION,
    RecoveryKind.REDRIVE: REDRIVE_ACTION,
    RecoveryKind.RESTART_TRANSFER: RESTART_ACTION,
}


@dataclass(frozen=True)
class AlertFacts:
    """Facts of alerts, by `actor`: the function, or who has told it to."""

    actor: str

    def happened(self, record: AlertRecord, kind: PageKind) -> AuditFacts:
        """An alert took a step."""
        return self._make(
            ACTIONS[kind], record, severity=SEVERITIES[record.severity], details={"step": kind, "state": record.state}
        )

    def silenced(self, silence: Silence) -> AuditFacts:
        """Somebody has nobody told of some alerts, for a time."""
        return AuditFacts(
            kind=EventKind.SECURITY,
            action="alert.silence",
            actor=fit_text(self.actor),
            target=Target(type="alert", id=fit_text(silence.code or silence.alert_id or "-")),
            succeeded=True,
            correlation_id=f"silence-{silence.silence_id}",
            severity=Severity.MEDIUM,
            details={"reason": fit_text(silence.reason), "until": silence.expires_at.isoformat()},
        )

    def unsilenced(self, silence_id: str) -> AuditFacts:
        """Somebody has ended a silence before its time."""
        return AuditFacts(
            kind=EventKind.SECURITY,
            action="alert.unsilence",
            actor=fit_text(self.actor),
            target=Target(type="silence", id=fit_text(silence_id)),
            succeeded=True,
            correlation_id=f"silence-{silence_id}",
        )

    def delivered(self, record: AlertRecord, delivery: Delivery, *, error: str | None) -> AuditFacts:
        """A channel took a page, or did not."""
        return self._make(
            "alert.notify",
            record,
            succeeded=error is None,
            reason=error,
            details={"channel": delivery.channel, "page": str(delivery.number), "step": delivery.kind},
        )

    def recovering(self, record: AlertRecord, recovery: Recovery) -> AuditFacts:
        """The system tries something, or has tried it."""
        return self._make(
            RECOVERY_ACTIONS[recovery.kind],
            record,
            succeeded=recovery.outcome is not RecoveryOutcome.FAILED,
            reason=recovery.said or None,
            details={"target": recovery.target, "outcome": recovery.outcome},
        )

    def _make(
        self,
        action: str,
        record: AlertRecord,
        *,
        details: Mapping[str, str],
        succeeded: bool = True,
        reason: str | None = None,
        severity: Severity = Severity.INFORMATIONAL,
    ) -> AuditFacts:
        lead = record.lead
        about = {"code": lead.code, "cause": record.cause, "occurrence": record.occurrence, "summary": lead.summary}
        return AuditFacts(
            kind=EventKind.SECURITY,
            action=action,
            actor=fit_text(self.actor),
            target=Target(type="alert", id=record.alert_id),
            succeeded=succeeded,
            correlation_id=lead.correlation_id,
            severity=severity,
            reason=None if reason is None else fit_text(reason),
            details={name: fit_text(str(text)) for name, text in {**about, **details}.items()},
        )
