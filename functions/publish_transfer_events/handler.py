"""Put an event on the bus for each change of a transfer's state. Reads the transfers table's stream.

A record that fails is reported by itself, so that its shard retries from there and nothing is lost. An event may
arrive twice (streams deliver at least once): the transfer id and the state together tell.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.publish_transfer_events.settings import Settings
from functions.publish_transfer_events.state_change import StateChange, find_state_change
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.environment import load_settings
from pqtransfer.errors import UnavailableError

SOURCE = "pqtransfer"
DETAIL_TYPE = "TransferStateChanged"

logger = Logger(service="publish_transfer_events")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams, model=DynamoDBStreamRecordModel)


class EventNotPublishedError(UnavailableError):
    """The bus did not take an event."""

    def __init__(self, change: StateChange, reason: str) -> None:
        super().__init__(
            f"the bus refused {change.state} of transfer {change.transfer_id}: {reason}; it will be retried"
        )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Publish what the batch of stream records says; name the records that failed."""
    return process_partial_response(event=event, record_handler=publish_record, processor=processor, context=context)


def publish_record(record: DynamoDBStreamRecordModel) -> None:
    """Publish the state change in one stream record, if there is one.

    Raises:
        EventNotPublishedError: the bus did not take it.
    """
    change = find_state_change(record)
    if change is not None:
        publish(change, events=_events_client(), bus=_settings().event_bus)
        logger.info("state change published", extra={"transfer_id": change.transfer_id, "state": change.state})


def publish(change: StateChange, *, events: Any, bus: str) -> None:
    """Put one change on the bus."""
    answer = events.put_events(
        Entries=[
            {
                "EventBusName": bus,
                "Source": SOURCE,
                "DetailType": DETAIL_TYPE,
                "Detail": change.model_dump_json(exclude_none=True),
                "Time": change.at,
            }
        ]
    )
    for entry in _refused(answer):
        raise EventNotPublishedError(change, f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}")


def _refused(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (entry for entry in answer["Entries"] if entry.get("ErrorCode"))


@cache
def _settings() -> Settings:
    return load_settings(Settings)


@cache
def _events_client() -> Any:
    return make_session().client("events", config=client_config())
