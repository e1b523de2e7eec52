"""The ledger of transfers in memory. An integration test holds it and the one in DynamoDB to each other."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pqtransfer.errors import PqtransferError
from pqtransfer.transfers.ledger import (
    GIVEN_BACK,
    Failure,
    Lease,
    LeaseLostError,
    Progress,
    TransferConflictError,
    TransferNotFoundError,
    TransferRecord,
    TransferResult,
    TransferState,
    add_retry,
    count_retries,
    count_tries,
    require_claimable,
    require_legal_step,
    require_supersedable,
)
from pqtransfer.transfers.live import LiveTransfer, show_live
from pqtransfer.transfers.request import TransferKind, TransferRequest


class InMemoryLedger:
    """`TransferLedger` in a dictionary. `outage` makes every call raise; `steps` are the calls that changed it."""

    def __init__(self) -> None:
        self.records: dict[str, TransferRecord] = {}
        self.steps: list[str] = []
        self.outage: PqtransferError | None = None

    def submit(self, request: TransferRequest, *, at: datetime) -> TransferRecord:
        self._require_reachable()
        record = self.records.get(request.transfer_id)
        if record is None:
            record = TransferRecord(request=request, state=TransferState.SUBMITTED, submitted_at=at, changed_at=at)
            self.records[request.transfer_id] = record
        elif record.request != request:
            raise TransferConflictError(request.transfer_id)
        return record

    def get(self, transfer_id: str) -> TransferRecord:
        self._require_reachable()
        if transfer_id not in self.records:
            raise TransferNotFoundError(transfer_id)
        return self.records[transfer_id]

    def list_recent(self, *, sender: str | None, state: TransferState | None, limit: int) -> Iterator[TransferRecord]:
        newest_first = sorted(self.records.values(), key=lambda record: record.submitted_at, reverse=True)
        chosen = [
            record
            for record in newest_first
            if sender in (None, record.request.sender) and state in (None, record.state)
        ]
        return iter(chosen[:limit])

    def list_claimed(self, *, limit: int) -> list[TransferRecord]:
        self._require_reachable()
        oldest_first = sorted(self.records.values(), key=lambda record: record.submitted_at)
        running = (each for each in oldest_first if each.state is TransferState.RUNNING)
        return [each for each in running if each.kind is not TransferKind.UPLOAD][:limit]

    def list_live(self, state: TransferState, *, limit: int) -> list[LiveTransfer]:
        self._require_reachable()
        oldest_first = sorted(self.records.values(), key=lambda record: record.submitted_at)
        return [show_live(record) for record in oldest_first if record.state is state][:limit]

    def peek(self, transfer_id: str) -> TransferRecord:
        return self.get(transfer_id)

    def claim(self, transfer_id: str, *, owner: str, at: datetime, lease_expires_at: datetime) -> Lease:
        record = self.get(transfer_id)
        require_claimable(record, at=at)
        attempt, (tries, most_parts_done) = record.attempt + 1, count_tries(record)
        retries = count_retries(record)
        self._change(
            record,
            "claim",
            state=TransferState.RUNNING,
            owner=owner,
            attempt=attempt,
            tries=tries,
            most_parts_done=most_parts_done,
            retries=retries,
            lease_expires_at=lease_expires_at,
            changed_at=at,
        )
        return Lease(transfer_id=transfer_id, owner=owner, attempt=attempt, tries=tries, retries=retries)

    def renew(self, lease: Lease, *, at: datetime, lease_expires_at: datetime, progress: Progress) -> None:
        record = self._held(lease, wanted=TransferState.RUNNING)
        self._change(record, "renew", lease_expires_at=lease_expires_at, progress=progress, progress_at=at)

    def release(self, lease: Lease, *, at: datetime, error: Failure | None, progress: Progress) -> None:
        record = self._held(lease, wanted=TransferState.RUNNING)
        self._change(
            record,
            "release",
            lease_expires_at=at - timedelta(milliseconds=1),
            last_error=error or record.last_error,
            tries=lease.tries - 1 if error is None else lease.tries,
            retries=add_retry(lease.retries, GIVEN_BACK if error is None else error.code),
            progress=progress,
            progress_at=at,
        )

    def complete(self, lease: Lease, *, at: datetime, result: TransferResult, progress: Progress) -> None:
        record = self._held(lease, wanted=TransferState.COMPLETED)
        if record.state is TransferState.COMPLETED:
            return
        self._change(
            record,
            "complete",
            state=TransferState.COMPLETED,
            changed_at=at,
            result=result,
            progress=progress,
            progress_at=at,
            lease_expires_at=None,
        )

    def fail(self, lease: Lease, *, at: datetime, failure: Failure) -> None:
        record = self._held(lease, wanted=TransferState.FAILED)
        if record.state is TransferState.FAILED:
            return
        self._change(record, "fail", state=TransferState.FAILED, changed_at=at, failure=failure, lease_expires_at=None)

    def cancel(self, transfer_id: str, *, at: datetime) -> TransferRecord:
        record = self.get(transfer_id)
        if record.state is TransferState.CANCELLED:
            return record
        require_legal_step(transfer_id, record.state, TransferState.CANCELLED)
        self._change(record, "cancel", state=TransferState.CANCELLED, changed_at=at, lease_expires_at=None)
        return self.records[transfer_id]

    def supersede(self, transfer_id: str, *, by: str) -> None:
        record = self.get(transfer_id)
        require_supersedable(record, by=by)
        self._change(record, "supersede", superseded_by=by)

    def _held(self, lease: Lease, *, wanted: TransferState) -> TransferRecord:
        record = self.get(lease.transfer_id)
        is_ours = (record.owner, record.attempt) == (lease.owner, lease.attempt)
        if not is_ours or record.state not in (TransferState.RUNNING, wanted):
            raise LeaseLostError(lease.transfer_id, record.state)
        return record

    def _change(self, record: TransferRecord, step: str, **changes: object) -> None:
        self.steps.append(step)
        self.records[record.transfer_id] = record.model_copy(update=changes)

    def _require_reachable(self) -> None:
        if self.outage is not None:
            raise self.outage
