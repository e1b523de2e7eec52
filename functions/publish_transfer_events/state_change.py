"""What a record of the transfers table's stream says about a transfer's state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from pydantic import BaseModel, ConfigDict


class StateChange(BaseModel):
    """The detail of a `TransferStateChanged` event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    transfer_id: str
    state: str
    previous_state: str | None = None
    sender: str
    recipients: tuple[str, ...] = ()
    correlation_id: str | None = None
    reason: str | None = None
    at: datetime


def find_state_change(record: DynamoDBStreamRecordModel) -> StateChange | None:
    """The change that a record tells of; None when the state stayed, or when the row was removed."""
    new = record.dynamodb.NewImage
    if not isinstance(new, Mapping):
        return None
    previous = _state_in(record.dynamodb.OldImage)
    if previous == new["state"]:
        return None
    at = record.dynamodb.ApproximateCreationDateTime or datetime.now(UTC)
    reason = new.get("reason") if new["state"] == "FAILED" else None
    return StateChange.model_validate(
        {
            **new,
            "recipients": sorted(new.get("recipients") or ()),
            "previous_state": previous,
            "reason": reason,
            "at": at,
        }
    )


def _state_in(image: Any) -> str | None:
    return image.get("state") if isinstance(image, Mapping) else None
