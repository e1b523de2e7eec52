"""The ledger of transfers in DynamoDB: one item a transfer (`transfer_items`), every step a conditional write."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pqtransfer.aws.clients import Session, client_config, prompt_client_config
from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.aws.transfer_items import from_milliseconds, read_record, to_milliseconds, write_time
from pqtransfer.aws.transfer_lists import TransferLists
from pqtransfer.transfers.ledger import (
    GIVEN_BACK,
    ClaimedElsewhereError,
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
from pqtransfer.transfers.live import LiveTransfer, name_bucket
from pqtransfer.transfers.request import TransferRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

_HELD = "#state = :running AND #owner = :owner AND attempt = :attempt"
_NAMES = {"#state": "state", "#owner": "owner"}


class DynamoTransferLedger:
    """`TransferLedger` on a DynamoDB table with the key `transfer_id`."""

    def __init__(self, table: "Table") -> None:
        self._table = table
        self._lists = TransferLists(table)

    @classmethod
    def open(
        cls, session: Session, table_name: str, *, endpoint_url: str | None = None, within_seconds: float | None = None
    ) -> "DynamoTransferLedger":
        """The ledger in a table; `within_seconds`: every call answers or fails within that time."""
        config = client_config() if within_seconds is None else prompt_client_config(within_seconds=within_seconds)
        return cls(session.resource("dynamodb", endpoint_url=endpoint_url, config=config).Table(table_name))

    def submit(self, request: TransferRequest, *, at: datetime) -> TransferRecord:
        item: dict[str, Any] = {
            "transfer_id": request.transfer_id,
            "state": TransferState.SUBMITTED,
            "kind": request.kind,
            "sender": request.sender,
            "recipients": list(request.recipients),
            "correlation_id": request.correlation_id,
            "submitted_at": write_time(at),
            "changed_at": write_time(at),
            "attempt": 0,
            "tries": 0,
            "most_parts_done": 0,
            "request": request.to_json(),
            "live": name_bucket(TransferState.SUBMITTED, request.transfer_id),
        }
        try:
            with translated(action=f"record transfer {request.transfer_id}"):
                self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(transfer_id)")
        except ConditionFailedError:
            record = self.get(request.transfer_id)
            if record.request != request:
                raise TransferConflictError(request.transfer_id) from None
            return record
        return read_record(item)

    def get(self, transfer_id: str) -> TransferRecord:
        return self._read(transfer_id, consistently=True)

    def list_recent(self, *, sender: str | None, state: TransferState | None, limit: int) -> Iterator[TransferRecord]:
        return self._lists.list_recent(sender=sender, state=state, limit=limit)

    def list_claimed(self, *, limit: int) -> list[TransferRecord]:
        """`FleetWork.list_claimed`."""
        return self._lists.list_claimed(limit=limit)

    def list_live(self, state: TransferState, *, limit: int) -> list[LiveTransfer]:
        """`LiveTransfers.list_live`."""
        return self._lists.list_live(state, limit=limit)

    def peek(self, transfer_id: str) -> TransferRecord:
        """`LiveTransfers.peek`: an eventually consistent read of one item, at half the price of `get`."""
        return self._read(transfer_id, consistently=False)

    def claim(self, transfer_id: str, *, owner: str, at: datetime, lease_expires_at: datetime) -> Lease:
        record = self.get(transfer_id)
        require_claimable(record, at=at)
        tries, most_parts_done = count_tries(record)
        retries = count_retries(record)
        expires_at_ms = to_milliseconds(lease_expires_at)
        try:
            with translated(action=f"claim transfer {transfer_id}"):
                self._table.update_item(
                    Key={"transfer_id": transfer_id},
                    UpdateExpression="SET #state = :running, #owner = :owner, attempt = :next, tries = :tries, "
                    "most_parts_done = :most, retries = :retries, lease_expires_at_ms = :expires, changed_at = :at, "
                    "live = :live",
                    ConditionExpression="attempt = :attempt AND "
                    "(#state = :submitted OR (#state = :running AND lease_expires_at_ms < :now))",
                    ExpressionAttributeNames=_NAMES,
                    ExpressionAttributeValues={
                        ":running": TransferState.RUNNING,
                        ":submitted": TransferState.SUBMITTED,
                        ":owner": owner,
                        ":attempt": record.attempt,
                        ":next": record.attempt + 1,
                        ":tries": tries,
                        ":most": most_parts_done,
                        ":retries": retries,
                        ":live": name_bucket(TransferState.RUNNING, transfer_id),
                        ":expires": expires_at_ms,
                        ":now": to_milliseconds(at),
                        ":at": write_time(at),
                    },
                )
        except ConditionFailedError:
            now = self.get(transfer_id)
            if now.owner != owner or now.lease_expires_at != from_milliseconds(expires_at_ms):
                require_claimable(now, at=at)
                raise ClaimedElsewhereError(transfer_id, now.owner or "another worker") from None
        return Lease(transfer_id=transfer_id, owner=owner, attempt=record.attempt + 1, tries=tries, retries=retries)

    def renew(self, lease: Lease, *, at: datetime, lease_expires_at: datetime, progress: Progress) -> None:
        self._write_held(
            lease,
            "SET lease_expires_at_ms = :expires, progress = :progress, progress_at = :at",
            {
                ":expires": to_milliseconds(lease_expires_at),
                ":progress": progress.model_dump_json(),
                ":at": write_time(at),
            },
        )

    def release(self, lease: Lease, *, at: datetime, error: Failure | None, progress: Progress) -> None:
        expression = (
            "SET lease_expires_at_ms = :past, tries = :tries, retries = :retries, "
            "progress = :progress, progress_at = :at"
        )
        values: dict[str, Any] = {
            ":past": to_milliseconds(at) - 1,
            ":tries": lease.tries - 1 if error is None else lease.tries,
            ":retries": add_retry(lease.retries, GIVEN_BACK if error is None else error.code),
            ":progress": progress.model_dump_json(),
            ":at": write_time(at),
        }
        if error is not None:
            expression, values = f"{expression}, last_error = :error", {**values, ":error": error.model_dump()}
        self._write_held(lease, expression, values)

    def complete(self, lease: Lease, *, at: datetime, result: TransferResult, progress: Progress) -> None:
        self._write_held(
            lease,
            "SET #state = :state, changed_at = :at, #result = :result, progress = :progress, progress_at = :at "
            "REMOVE lease_expires_at_ms, live",
            {
                ":state": TransferState.COMPLETED,
                ":at": write_time(at),
                ":result": result.model_dump_json(exclude_none=True),
                ":progress": progress.model_dump_json(),
            },
            names={"#result": "result"},
            wanted=TransferState.COMPLETED,
        )

    def fail(self, lease: Lease, *, at: datetime, failure: Failure) -> None:
        self._write_held(
            lease,
            "SET #state = :state, changed_at = :at, failure = :failure REMOVE lease_expires_at_ms, live",
            {":state": TransferState.FAILED, ":at": write_time(at), ":failure": failure.model_dump()},
            wanted=TransferState.FAILED,
        )

    def cancel(self, transfer_id: str, *, at: datetime) -> TransferRecord:
        try:
            with translated(action=f"cancel transfer {transfer_id}"):
                answer = self._table.update_item(
                    Key={"transfer_id": transfer_id},
                    UpdateExpression="SET #state = :cancelled, changed_at = :at REMOVE lease_expires_at_ms, live",
                    ConditionExpression="#state IN (:submitted, :running)",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={
                        ":cancelled": TransferState.CANCELLED,
                        ":submitted": TransferState.SUBMITTED,
                        ":running": TransferState.RUNNING,
                        ":at": write_time(at),
                    },
                    ReturnValues="ALL_NEW",
                )
        except ConditionFailedError:
            record = self.get(transfer_id)
            if record.state is not TransferState.CANCELLED:
                require_legal_step(transfer_id, record.state, TransferState.CANCELLED)
            return record
        return read_record(answer["Attributes"])

    def supersede(self, transfer_id: str, *, by: str) -> None:
        try:
            with translated(action=f"note what transfer {transfer_id} was re-encrypted as"):
                self._table.update_item(
                    Key={"transfer_id": transfer_id},
                    UpdateExpression="SET superseded_by = :by",
                    ConditionExpression="#state = :completed AND "
                    "(attribute_not_exists(superseded_by) OR superseded_by = :by)",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={":by": by, ":completed": TransferState.COMPLETED},
                )
        except ConditionFailedError:
            require_supersedable(self.get(transfer_id), by=by)
            raise TransferConflictError(transfer_id) from None

    def _read(self, transfer_id: str, *, consistently: bool) -> TransferRecord:
        with translated(action=f"read transfer {transfer_id}"):
            answer = self._table.get_item(Key={"transfer_id": transfer_id}, ConsistentRead=consistently)
        if "Item" not in answer:
            raise TransferNotFoundError(transfer_id)
        return read_record(answer["Item"])

    def _write_held(
        self,
        lease: Lease,
        expression: str,
        values: dict[str, Any],
        *,
        names: dict[str, str] | None = None,
        wanted: TransferState = TransferState.RUNNING,
    ) -> None:
        """A write that only the holder of the lease can make, and after which the transfer is in the state `wanted`."""
        try:
            with translated(action=f"update transfer {lease.transfer_id}"):
                self._table.update_item(
                    Key={"transfer_id": lease.transfer_id},
                    UpdateExpression=expression,
                    ConditionExpression=_HELD,
                    ExpressionAttributeNames={**_NAMES, **(names or {})},
                    ExpressionAttributeValues={
                        ":running": TransferState.RUNNING,
                        ":owner": lease.owner,
                        ":attempt": lease.attempt,
                        **values,
                    },
                )
        except ConditionFailedError:
            record = self.get(lease.transfer_id)
            if (record.owner, record.attempt, record.state) != (lease.owner, lease.attempt, wanted):
                raise LeaseLostError(lease.transfer_id, record.state) from None
