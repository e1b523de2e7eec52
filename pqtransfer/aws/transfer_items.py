"""How transfers stand in DynamoDB: the items of the table, what its indexes carry of them, and the way back to records.

`request`, `progress` and `result` are JSON strings; what conditions, indexes and stream readers need stands in
attributes: `state`, `sender`, `recipients`, `kind`, `correlation_id`, `owner`, `attempt`, `lease_expires_at_ms`,
`tries`, `most_parts_done`, `retries`, `failure`; and `live`, the bucket of a transfer that has not ended.
"""

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from pqtransfer.transfers.ledger import (
    Failure,
    Progress,
    RecordDamagedError,
    TransferRecord,
    TransferResult,
    TransferState,
)
from pqtransfer.transfers.live import LiveTransfer
from pqtransfer.transfers.request import MalformedRequestError, TransferRequest

SENDER_INDEX = "sender-index"
STATE_INDEX = "state-index"
LIVE_INDEX = "live-index"
LISTED_ATTRIBUTES = ("kind", "request")
"""What the indexes by sender and by state carry: nothing that a heartbeat changes, so that beats write to neither."""
LIVE_ATTRIBUTES = (
    "state",
    "kind",
    "sender",
    "recipients",
    "owner",
    "attempt",
    "retries",
    "progress",
    "progress_at",
)
"""What the index of transfers that have not ended carries beside its keys."""


def read_record(item: Any) -> TransferRecord:
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
            retries={cause: int(count) for cause, count in item.get("retries", {}).items()},
            owner=item.get("owner"),
            lease_expires_at=None if expires is None else from_milliseconds(int(expires)),
            progress=Progress.model_validate_json(item["progress"]) if "progress" in item else Progress(),
            progress_at=item.get("progress_at"),
            result=TransferResult.model_validate_json(item["result"]) if "result" in item else None,
            failure=Failure.model_validate(item["failure"]) if "failure" in item else None,
            last_error=Failure.model_validate(item["last_error"]) if "last_error" in item else None,
            superseded_by=item.get("superseded_by"),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError, MalformedRequestError) as error:
        raise RecordDamagedError(transfer_id, type(error).__name__) from error
    if record.transfer_id != transfer_id:
        raise RecordDamagedError(transfer_id, f"it is of transfer {record.transfer_id}")
    return record


def read_live(item: Any) -> LiveTransfer | None:
    """The row in an item of the index of what is live; None where there is none that can be shown."""
    try:
        return LiveTransfer(
            transfer_id=item["transfer_id"],
            state=item["state"],
            kind=item["kind"],
            sender=item["sender"],
            recipients=tuple(item["recipients"]),
            submitted_at=item["submitted_at"],
            owner=item.get("owner"),
            attempt=int(item["attempt"]),
            retries={cause: int(count) for cause, count in item.get("retries", {}).items()},
            progress=Progress.model_validate_json(item["progress"]) if "progress" in item else Progress(),
            progress_at=item.get("progress_at"),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, ValidationError):
        return None


def write_time(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def to_milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def from_milliseconds(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
