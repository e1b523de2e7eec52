"""Put an event on the bus for each change of a transfer's state. Reads the transfers table's stream.

A record that fails is reported by itself, so that its shard retries from there and nothing is lost. A record that is
known never to succeed is logged and left out: it would hold up every transfer behind it. An event may arrive twice
(streams deliver at least once): the transfer id and the state together tell.
"""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.publish_transfer_events.settings import PublishTransferEventsSettings
from functions.publish_transfer_events.state_change import UnreadableRowError, find_state_change
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.events import EventBridgeBus, EventNeverTakenError
from pqtransfer.environment import load_settings

SOURCE = "pqtransfer"
DETAIL_TYPE = "TransferStateChanged"

logger = Logger(service="publish_transfer_events")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams, model=DynamoDBStreamRecordModel)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Publish what the batch of stream records says; name the records that failed."""
    return process_partial_response(event=event, record_handler=publish_record, processor=processor, context=context)


def publish_record(record: DynamoDBStreamRecordModel) -> None:
    """Publish the state change in one stream record, if there is one.

    Raises:
        CloudError: the bus did not take it now; it is tried again, and at last goes to the stream's failures.
    """
    try:
        change = find_state_change(record)
        if change is None:
            return
        _connect_bus().put(DETAIL_TYPE, change.model_dump_json(exclude_none=True), at=change.at)
    except (UnreadableRowError, EventNeverTakenError) as error:
        number = record.dynamodb.SequenceNumber
        logger.error("state change skipped", error_code=error.code, reason=str(error), sequence_number=number)
        return
    logger.info("state change published", extra={"transfer_id": change.transfer_id, "state": change.state})


@cache
def _connect_bus() -> EventBridgeBus:
    settings = load_settings(PublishTransferEventsSettings)
    client = make_session().client("events", config=client_config())
    return EventBridgeBus(client, bus=settings.event_bus, source=SOURCE)
