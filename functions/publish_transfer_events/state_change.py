"""What a record of the transfers table's stream says about a transfer's state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.errors import InputError

FAILED = "FAILED"
FIRST_TIME, LAST_TIME = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Times outside are nobody's; those at the ends of the calendar could not even be written down in another zone."""


class UnreadableRowError(InputError):
    """A row of the transfers table does not say what every row must: no ledger wrote it."""

    def __init__(self, row: Mapping[str, Any], fields: str) -> None:
        super().__init__(
            f"row {str(row.get('transfer_id'))[:100]!r} of the transfers table tells no state: {fields}; "
            "find out who wrote it, and delete it"
        )


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
    at: Annotated[AwareDatetime, Field(ge=FIRST_TIME, lt=LAST_TIME)]


def find_state_change(record: DynamoDBStreamRecordModel) -> StateChange | None:
    """The change that a record tells of; None when the state stayed, or when the row was removed.

    Raises:
        UnreadableRowError: the row is malformed, so that no later try could read it either.
    """
    new = record.dynamodb.NewImage
    if not isinstance(new, Mapping):
        return None
    previous = _state_in(record.dynamodb.OldImage)
    if previous is not None and previous == new.get("state"):
        return None
    at = new.get("changed_at") or record.dynamodb.ApproximateCreationDateTime
    try:
        return StateChange.model_validate({**new, "previous_state": previous, "reason": _reason_in(new), "at": at})
    except ValidationError as error:
        raise UnreadableRowError(new, _explain(error)) from None


def _reason_in(image: Mapping[str, Any]) -> dict[str, str] | None:
    """Why a transfer failed: the stable code of the error, and its message."""
    failure = image.get("failure")
    if image.get("state") != FAILED or not isinstance(failure, Mapping):
        return None
    return {"code": str(failure.get("code", "")), "message": str(failure.get("message", ""))}


def _state_in(image: Any) -> str | None:
    """The state before; None too when a malformed row had none that can be read."""
    state = image.get("state") if isinstance(image, Mapping) else None
    return state if isinstance(state, str) else None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems[:5])
