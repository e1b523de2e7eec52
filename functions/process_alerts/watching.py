"""Looks for transfers that stand still: RUNNING, and nobody has renewed the lease for much longer than it lasts.

Such a transfer's message has come back by then, so another worker should have taken it; and the worker that had it has
died without its task, or hangs, unless it gave the transfer back. Both have the fleet as their cause: people are told
once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.aws_events import FLEET_CAUSE
from pqtransfer.operations.signals import Phase, Signal, fit
from pqtransfer.transfers.ledger import TransferRecord, TransferState, was_given_back
from pqtransfer.transfers.live import FleetWork

STALLED, HUNG = "transfer-stalled", "worker-hung"
SUBJECTS = {STALLED: "transfer_id", HUNG: "worker"}
"""The detail that says what it is about."""
STALLED_AFTER = timedelta(minutes=5)
"""After a lease has expired."""
LOOKED_AT = 500
TOLD_AT_MOST = 8
"""Of each of the two, in one alert."""


@dataclass(frozen=True)
class StallWatch:
    """`Watch` over the ledger."""

    work: FleetWork

    def look(self, *, at: datetime, alerts: Sequence[AlertRecord]) -> Sequence[Signal]:
        stalled = [each for each in self.work.list_claimed(limit=LOOKED_AT) if is_stalled(each, at=at)]
        hung = {each.owner: each for each in stalled if each.owner and not was_given_back(each)}
        return [
            *_compare(STALLED, {each.transfer_id: each for each in stalled}, alerts, at),
            *_compare(HUNG, hung, alerts, at),
        ]


def is_stalled(record: TransferRecord, *, at: datetime) -> bool:
    """Whether nobody works on it though somebody should."""
    expired_at = record.lease_expires_at
    return record.state is TransferState.RUNNING and expired_at is not None and at - expired_at >= STALLED_AFTER


def _compare(
    code: str, seen: Mapping[str, TransferRecord], alerts: Sequence[AlertRecord], at: datetime
) -> Iterator[Signal]:
    """What is new, as far as there is room for it, and what is over."""
    members = (member for alert in alerts for member in alert.open_members if member.code == code)
    known = {member.details.get(SUBJECTS[code], "") for member in members}
    new = [subject for subject in seen if subject not in known]
    for subject in new[: max(0, TOLD_AT_MOST - len(known))]:
        yield _describe(code, subject, seen[subject], at)
    for subject in sorted(known - seen.keys()):
        yield _describe(code, subject, None, at)


def _describe(code: str, subject: str, record: TransferRecord | None, at: datetime) -> Signal:
    """That it is so, or, without a record, that it is over."""
    says = {
        STALLED: f"transfer {subject} stands still: no worker has renewed its lease",
        HUNG: f"worker {subject} does not renew the lease of its transfer: it hangs, or has died",
    }
    details = {SUBJECTS[code]: fit(subject, 512)}
    if record is not None:
        details |= {"transfer_id": record.transfer_id, "attempt": str(record.attempt)}
    return Signal(
        phase=Phase.CLEARED if record is None else Phase.RAISED,
        code=code,
        key=fit(f"{code}:{subject}", 256),
        cause=FLEET_CAUSE,
        severity=AlertSeverity.HIGH,
        summary=fit(says[code], 1024),
        remedy=f"follow docs/runbooks/{code}.md",
        at=at,
        correlation_id=record.request.correlation_id if record else "process-alerts",
        event_id=fit(f"{code}-{subject}-{int(at.timestamp())}", 128),
        ends_by_event=True,
        details=details,
    )
