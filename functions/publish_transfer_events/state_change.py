"""What a record of the transfers table's stream says about a transfer's state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from pydantic import BaseModel, ConfigDict

FAILED = "FAILED"


class StateChange(BaseModel):
    """The detail of a `TransferStateChanged` event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    transfer_id: str
    state: str
    previous_state: str | None = None
    sender: str
    recipients: tuple[str, ...] = ()
    correlation_id: str | None = None
    reason: dict[str, str] | None = None
    at: datetime


def find_state_change(record: DynamoDBStreamRecordModel) -> StateChange | None:
    """The change that a record tells of; None when the state stayed, or when the row was removed."""
    new = record.dynamodb.NewImage
    if not isinstance(new, Mapping):
        return None
    previous = _state_in(record.dynamodb.OldImage)
    if previous == new["state"]:
        return None
    at = new.get("changed_at") or record.dynamodb.ApproximateCreationDateTime
    return StateChange.model_validate({**new, "previous_state": previous, "reason": _reason_in(new), "at": at})


def _reason_in(image: Mapping[str, Any]) -> dict[str, str] | None:
    """Why a transfer failed: the stable code of the error, and its message."""
    failure = image.get("failure")
    if image["state"] != FAILED or not isinstance(failure, Mapping):
        return None
    return {"code": str(failure.get("code", "")), "message": str(failure.get("message", ""))}


def _state_in(image: Any) -> str | None:
    return image.get("state") if isinstance(image, Mapping) else None
