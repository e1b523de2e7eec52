"""The ledger of transfers in DynamoDB: one item a transfer, every step a conditional write.

`request`, `progress` and `result` are JSON strings; what conditions, indexes and stream readers need stands in
attributes: `state`, `sender`, `recipients`, `kind`, `correlation_id`, `owner`, `attempt`, `lease_expires_at_ms`,
`tries`,
`most_parts_done`, `failure`.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key

from pqtransfer.aws.clients import Session, client_config, prompt_client_config
from pqtransfer.aws.failures import ConditionFailedError, translated
from pqtransfer.transfers.ledger import (
    ClaimedElsewhereError,
    Failure,
    Lease,
    LeaseLostError,
    Progress,
    RecordDamagedError,
    TransferConflictError,
    TransferNotFoundError,
    TransferRecord,
    TransferResult,
    TransferState,
    count_tries,
    require_claimable,
    require_legal_step,
    require_supersedable,
)
from pqtransfer.transfers.request import MalformedRequestError, TransferRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

SENDER_INDEX = "sender-index"
STATE_INDEX = "state-index"

logger = logging.getLogger(__name__)

_HELD = "#state = :running AND #owner = :owner AND attempt = :attempt"
_NAMES = {"#state": "state", "#owner": "owner"}


class DynamoTransferLedger:
    """`TransferLedger` on a DynamoDB table with the key `transfer_id`."""

    def __init__(self, table: "Table") -> None:
        self._table = table

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
            "submitted_at": _write_time(at),
            "changed_at": _write_time(at),
            "attempt": 0,
            "tries": 0,
            "most_parts_done": 0,
            "request": request.to_json(),
        }
        try:
            with translated(action=f"record transfer {request.transfer_id}"):
                self._table.put_item(Item=item, ConditionExpression="attribute_not_exists(transfer_id)")
        except ConditionFailedError:
            record = self.get(request.transfer_id)
            if record.request != request:
                raise TransferConflictError(request.transfer_id) from None
            return record
        return _read_record(item)

    def get(self, transfer_id: str) -> TransferRecord:
        with translated(action=f"read transfer {transfer_id}"):
            answer = self._table.get_item(Key={"transfer_id": transfer_id}, ConsistentRead=True)
        if "Item" not in answer:
            raise TransferNotFoundError(transfer_id)
        return _read_record(answer["Item"])

    def list_recent(self, *, sender: str | None, state: TransferState | None, limit: int) -> Iterator[TransferRecord]:
        if sender is not None:
            return self._query(SENDER_INDEX, "sender", sender, state=state, limit=limit)
        states = [state] if state is not None else list(TransferState)
        records = [record for each in states for record in self._query(STATE_INDEX, "state", each, limit=limit)]
        return iter(sorted(records, key=lambda record: record.submitted_at, reverse=True)[:limit])

    def claim(self, transfer_id: str, *, owner: str, at: datetime, lease_expires_at: datetime) -> Lease:
        record = self.get(transfer_id)
        require_claimable(record, at=at)
        tries, most_parts_done = count_tries(record)
        expires_at_ms = _to_milliseconds(lease_expires_at)
        try:
            with translated(action=f"claim transfer {transfer_id}"):
                self._table.update_item(
                    Key={"transfer_id": transfer_id},
                    UpdateExpression="SET #state = :running, #owner = :owner, attempt = :next, tries = :tries, "
                    "most_parts_done = :most, lease_expires_at_ms = :expires, changed_at = :at",
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
                        ":expires": expires_at_ms,
                        ":now": _to_milliseconds(at),
                        ":at": _write_time(at),
                    },
                )
        except ConditionFailedError:
            now = self.get(transfer_id)
            if now.owner != owner or now.lease_expires_at != _from_milliseconds(expires_at_ms):
                require_claimable(now, at=at)
                raise ClaimedElsewhereError(transfer_id, now.owner or "another worker") from None
        return Lease(transfer_id=transfer_id, owner=owner, attempt=record.attempt + 1, tries=tries)

    def renew(self, lease: Lease, *, at: datetime, lease_expires_at: datetime, progress: Progress) -> None:
        self._write_held(
            lease,
            "SET lease_expires_at_ms = :expires, progress = :progress, progress_at = :at",
            {
                ":expires": _to_milliseconds(lease_expires_at),
                ":progress": progress.model_dump_json(),
                ":at": _write_time(at),
            },
        )

    def release(self, lease: Lease, *, at: datetime, error: Failure | None, progress: Progress) -> None:
        expression = "SET lease_expires_at_ms = :past, tries = :tries, progress = :progress, progress_at = :at"
        values: dict[str, Any] = {
            ":past": _to_milliseconds(at) - 1,
            ":tries": lease.tries - 1 if error is None else lease.tries,
            ":progress": progress.model_dump_json(),
            ":at": _write_time(at),
        }
        if error is not None:
            expression, values = f"{expression}, last_error = :error", {**values, ":error": error.model_dump()}
        self._write_held(lease, expression, values)

    def complete(self, lease: Lease, *, at: datetime, result: TransferResult, progress: Progress) -> None:
        self._write_held(
            lease,
            "SET #state = :state, changed_at = :at, #result = :result, progress = :progress, progress_at = :at "
            "REMOVE lease_expires_at_ms",
            {
                ":state": TransferState.COMPLETED,
                ":at": _write_time(at),
                ":result": result.model_dump_json(exclude_none=True),
                ":progress": progress.model_dump_json(),
            },
            names={"#result": "result"},
            wanted=TransferState.COMPLETED,
        )

    def fail(self, lease: Lease, *, at: datetime, failure: Failure) -> None:
        self._write_held(
            lease,
            "SET #state = :state, changed_at = :at, failure = :failure REMOVE lease_expires_at_ms",
            {":state": TransferState.FAILED, ":at": _write_time(at), ":failure": failure.model_dump()},
            wanted=TransferState.FAILED,
        )

    def cancel(self, transfer_id: str, *, at: datetime) -> TransferRecord:
        try:
            with translated(action=f"cancel transfer {transfer_id}"):
                answer = self._table.update_item(
                    Key={"transfer_id": transfer_id},
                    UpdateExpression="SET #state = :cancelled, changed_at = :at REMOVE lease_expires_at_ms",
                    ConditionExpression="#state IN (:submitted, :running)",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={
                        ":cancelled": TransferState.CANCELLED,
                        ":submitted": TransferState.SUBMITTED,
                        ":running": TransferState.RUNNING,
                        ":at": _write_time(at),
                    },
                    ReturnValues="ALL_NEW",
                )
        except ConditionFailedError:
            record = self.get(transfer_id)
            if record.state is not TransferState.CANCELLED:
                require_legal_step(transfer_id, record.state, TransferState.CANCELLED)
            return record
        return _read_record(answer["Attributes"])

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

    def _query(
        self, index: str, attribute: str, value: str, *, limit: int, state: TransferState | None = None
    ) -> Iterator[TransferRecord]:
        start: dict[str, Any] = {}
        while limit > 0:
            with translated(action="list transfers"):
                page = self._table.query(
                    IndexName=index,
                    KeyConditionExpression=Key(attribute).eq(value),
                    ScanIndexForward=False,
                    Limit=min(limit, 100) if state is None else 100,
                    **start,
                )
            for item in page["Items"]:
                try:
                    record = _read_record(item)
                except RecordDamagedError as error:  # one row must not hide the others
                    logger.warning("left out: %s", error)
                    continue
                if limit > 0 and state in (None, record.state):
                    limit -= 1
                    yield record
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _read_record(item: Any) -> TransferRecord:
    """The record in an item, which anybody may have written who may submit transfers."""
    transfer_id = str(item.get("transfer_id"))
    try:
        expires = item.get("lease_expires_at_ms")
        record = TransferRecord(
            request=TransferRequest.from_json(item["request"]),
            state=TransferState(item["state"]),
            submitted_at=item["submitted_at"],
            changed_at=item["changed_at"],
            attempt=int(item["attempt"]),
            tries=int(item["tries"]),
            most_parts_done=int(item["most_parts_done"]),
            owner=item.get("owner"),
            lease_expires_at=None if expires is None else _from_milliseconds(int(expires)),
            progress=Progress.model_validate_json(item["progress"]) if "progress" in item else Progress(),
            progress_at=item.get("progress_at"),
            result=TransferResult.model_validate_json(item["result"]) if "result" in item else None,
            failure=Failure.model_validate(item["failure"]) if "failure" in item else None,
            last_error=Failure.model_validate(item["last_error"]) if "last_error" in item else None,
            superseded_by=item.get("superseded_by"),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError, MalformedRequestError) as error:
        raise RecordDamagedError(transfer_id, type(error).__name__) from error
    if record.transfer_id != transfer_id:
        raise RecordDamagedError(transfer_id, f"it is of transfer {record.transfer_id}")
    return record


def _write_time(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _to_milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _from_milliseconds(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
