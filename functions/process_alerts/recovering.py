"""Tries what the policy allows about an alert; each try is on record before it is made, and its end after it."""

from dataclasses import dataclass
from typing import Protocol

from pqtransfer.audit.trail import AuditTrail
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.alert_records import AlertMovedError, AlertRecord, AlertStore
from pqtransfer.operations.alerting import AlertRules
from pqtransfer.operations.deliveries import PageKind
from pqtransfer.operations.recovery import (
    RECOVERIES,
    RECOVERY_LIMITS,
    Recovery,
    RecoveryKind,
    RecoveryOutcome,
    plan_recovery,
)
from pqtransfer.recording.alerts import AlertFacts

TRIES_AT_MOST = 20
CAUSES = ("function:", "service:")
"""While something is wrong with one of these, messages that were given up would be given up again."""


class Recoverer(Protocol):
    """Does what is to be tried."""

    def recover(self, kind: RecoveryKind, target: str) -> tuple[RecoveryOutcome, str]:
        """Try it; how it ended, in words for people.

        Raises:
            PqtransferError: it could not be tried.
        """


@dataclass(frozen=True)
class Recoveries:
    """Plans by the policy, and has it done by `recoverer`."""

    store: AlertStore
    recoverer: Recoverer
    trail: AuditTrail
    facts: AlertFacts

    def recover(self, record: AlertRecord, rules: AlertRules) -> AlertRecord:
        """Try what may be tried now; escalate once when that is used up. Returns the alert as it stands then."""
        current: AlertRecord | None = record
        for _ in range(TRIES_AT_MOST):
            if current is None or not current.is_open or not (wanted := list_wanted(current)):
                return record if current is None else current
            is_gone = self._cause_is_gone(current, wanted)
            plan = plan_recovery(wanted, current.recoveries, at=rules.now, cause_is_gone=is_gone)
            if plan.exhausted and not plan.start and not current.recovery_failed:
                escalated = rules.escalate(current.change(recovery_failed=True, recovers_at=plan.next_at)).record
                self.trail.record(self.facts.happened(escalated, PageKind.ESCALATED))
                written = self._save(escalated, rules)
            elif plan.start:
                written = self._start(current, rules, plan.start)
            elif plan.next_at != current.recovers_at:
                written = self._save(current.change(recovers_at=plan.next_at), rules)
            else:
                return current
            if written is not None:
                return self._do(written, rules) if plan.start else written
            current = self.store.find(record.alert_id)
        raise AlertMovedError(record.alert_id)

    def _start(
        self, record: AlertRecord, rules: AlertRules, start: tuple[tuple[RecoveryKind, str], ...]
    ) -> AlertRecord | None:
        tries = tuple(Recovery(kind=kind, target=target, started_at=rules.now) for kind, target in start)
        self.trail.record(*(self.facts.recovering(record, each) for each in tries))
        looks_again_at = min(rules.now + RECOVERY_LIMITS[kind].cool_down for kind, _ in start)
        return self._save(record.change(recoveries=(*record.recoveries, *tries), recovers_at=looks_again_at), rules)

    def _do(self, record: AlertRecord, rules: AlertRules) -> AlertRecord:
        started = [each for each in record.recoveries if each.started_at == rules.now]
        ended = {(each.kind, each.target): self._try(each) for each in started}
        self.trail.record(*(self.facts.recovering(record, each) for each in ended.values()))
        current: AlertRecord | None = record
        for _ in range(TRIES_AT_MOST):
            if current is None:
                return record
            recoveries = tuple(
                ended.get((each.kind, each.target), each) if each.started_at == rules.now else each
                for each in current.recoveries
            )
            written = self._save(current.change(recoveries=recoveries), rules)
            if written is not None:
                return written
            current = self.store.find(record.alert_id)
        raise AlertMovedError(record.alert_id)

    def _try(self, recovery: Recovery) -> Recovery:
        try:
            outcome, said = self.recoverer.recover(recovery.kind, recovery.target)
        except PqtransferError as error:
            return recovery.end(RecoveryOutcome.FAILED, f"{error.code}: {error}")
        return recovery.end(outcome, said)

    def _cause_is_gone(self, record: AlertRecord, wanted: list[tuple[RecoveryKind, str]]) -> bool:
        if all(kind is not RecoveryKind.REDRIVE for kind, _ in wanted):
            return True
        others = (each for each in self.store.list_open() if each.alert_id != record.alert_id)
        return not any(each.cause.startswith(CAUSES) for each in others)

    def _save(self, record: AlertRecord, rules: AlertRules) -> AlertRecord | None:
        return self.store.save(record, due_at=rules.find_due(record), expires_at=rules.find_expiry(record))


def list_wanted(record: AlertRecord) -> list[tuple[RecoveryKind, str]]:
    """What could be tried, and on what, about what is still so."""
    found = ((RECOVERIES.get(each.code), each.details) for each in record.open_members)
    return [(known[0], details[known[1]]) for known, details in found if known and details.get(known[1])]
