"""Looks for transfers that stand still: RUNNING, and nobody has renewed the lease for much longer than it lasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.signals import Phase, Signal, fit
from pqtransfer.transfers.ledger import TransferLedger, TransferRecord, TransferState

STALLED_CODE = "transfer-stalled"
STALLED_AFTER = timedelta(minutes=5)
"""After a lease has expired. A message comes back well within that, and another worker goes on."""
LOOKED_AT = 500
STALLED_AT_MOST = 50


@dataclass(frozen=True)
class StallWatch:
    """`Watch` over the ledger."""

    ledger: TransferLedger

    def look(self, *, at: datetime, alerts: Sequence[AlertRecord]) -> Sequence[Signal]:
        running = self.ledger.list_recent(sender=None, state=TransferState.RUNNING, limit=LOOKED_AT)
        stalled = {each.transfer_id: each for each in running if is_stalled(each, at=at)}
        known = {
            member.details["transfer_id"]
            for alert in alerts
            for member in alert.open_members
            if member.code == STALLED_CODE and "transfer_id" in member.details
        }
        began = [each for transfer_id, each in stalled.items() if transfer_id not in known][:STALLED_AT_MOST]
        over = known - set(stalled)
        return [
            *(_describe(each.transfer_id, at=at, record=each) for each in began),
            *(_describe(transfer_id, at=at, record=None) for transfer_id in sorted(over)),
        ]


def is_stalled(record: TransferRecord, *, at: datetime) -> bool:
    """Whether nobody works on it though somebody should."""
    expired_at = record.lease_expires_at
    return record.state is TransferState.RUNNING and expired_at is not None and at - expired_at >= STALLED_AFTER


def _describe(transfer_id: str, *, at: datetime, record: TransferRecord | None) -> Signal:
    """That it stands still, or, without its record, that it does not any more."""
    details = {"transfer_id": transfer_id}
    if record is not None:
        details |= {"owner": record.owner or "-", "attempt": str(record.attempt)}
    return Signal(
        phase=Phase.CLEARED if record is None else Phase.RAISED,
        code=STALLED_CODE,
        key=fit(f"{STALLED_CODE}:{transfer_id}", 256),
        cause=fit(f"transfer:{transfer_id}", 256),
        severity=AlertSeverity.HIGH,
        summary=f"transfer {transfer_id} stands still: no worker has renewed its lease",
        remedy=f"follow docs/runbooks/{STALLED_CODE}.md",
        at=at,
        correlation_id=record.request.correlation_id if record else f"transfer-{transfer_id}",
        event_id=f"{STALLED_CODE}-{transfer_id}-{int(at.timestamp())}",
        ends_by_event=True,
        details=details,
    )
