"""Events on an EventBridge bus."""

from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pqtransfer.aws.failures import CloudError, translated

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

PERMANENT_CODES = frozenset({"InvalidArgument", "MalformedDetail", "ValidationException"})
"""What EventBridge says of an event that is malformed or too large. Any other refusal may end one day."""


class EventNeverTakenError(CloudError):
    """The bus refuses the event for what it is, and always will."""


class EventBridgeBus:
    """One bus, and the name under which its events are put there."""

    def __init__(self, client: "EventBridgeClient", *, bus: str, source: str) -> None:
        self._client = client
        self._bus = bus
        self._source = source

    def put(self, detail_type: str, detail: str, *, at: datetime) -> None:
        """Put one event on the bus. The call may succeed and the event be refused all the same: both are errors.

        Args:
            detail: a JSON object.

        Raises:
            EventNeverTakenError: the event is malformed or too large.
            CloudError: anything else, also what is not known; the same event may be taken later.
        """
        try:
            self._put(detail_type, detail, at=at)
        except CloudError as error:
            if error.aws_code in PERMANENT_CODES:
                raise EventNeverTakenError(str(error), aws_code=error.aws_code) from error
            raise

    def _put(self, detail_type: str, detail: str, *, at: datetime) -> None:
        with translated(action=f"put {detail_type} on the bus {self._bus}"):
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._bus,
                        "Source": self._source,
                        "DetailType": detail_type,
                        "Detail": detail,
                        "Time": at,
                    }
                ]
            )
            for entry in answer["Entries"]:
                if entry.get("ErrorCode"):
                    raise ClientError(
                        {"Error": {"Code": entry["ErrorCode"], "Message": entry.get("ErrorMessage", "")}}, "PutEvents"
                    )
