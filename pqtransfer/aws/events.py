"""Events on an EventBridge bus."""

from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pqtransfer.aws.failures import translated

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


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
            CloudUnavailableError: the bus throttles or fails; the same event may be taken later.
            CloudAccessDeniedError, CloudNotFoundError: the caller may not, or there is no such bus.
            CloudRequestError: the event itself is refused, and will always be.
        """
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
