"""Put each change of a transfer's state into the audit log and on the bus. Reads the transfers table's stream.

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

from functions.publish_transfer_events.audit import describe_change, describe_large_change, describe_unreadable_row
from functions.publish_transfer_events.settings import PublishTransferEventsSettings
from functions.publish_transfer_events.state_change import UnreadableRowError, find_state_change
from pqtransfer.audit.errors import EventTooLargeError
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import client_config, make_session
from pqtransfer.aws.events import EventBridgeBus, EventNeverTakenError
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.environment import load_settings

SOURCE = "pqtransfer"
DETAIL_TYPE = "TransferStateChanged"

logger = Logger(service="publish_transfer_events")
telemetry = FunctionTelemetry("publish_transfer_events")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams, model=DynamoDBStreamRecordModel)


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Publish what the batch of stream records says; name the records that failed."""
    return process_partial_response(event=event, record_handler=publish_record, processor=processor, context=context)


def publish_record(record: DynamoDBStreamRecordModel) -> None:
    """Record and publish the state change in one stream record, if there is one.

    Raises:
        CloudError, AuditUnavailableError: bus or audit log did not take it now; it is tried again, and at last goes to
            the stream's failures.
    """
    number = str(record.dynamodb.SequenceNumber)
    try:
        change = find_state_change(record)
    except UnreadableRowError as error:
        _connect_trail().record(describe_unreadable_row(error, sequence_number=number))
        logger.error("state change skipped", error_code=error.code, reason=str(error), sequence_number=number)
        return
    if change is None:
        return
    about = {"transfer_id": change.transfer_id, "correlation_id": change.correlation_id, "state": change.state}
    try:
        _connect_trail().record(describe_change(change, sequence_number=number))
    except EventTooLargeError:
        _connect_trail().record(describe_large_change(change, sequence_number=number))
    try:
        _connect_bus().put(DETAIL_TYPE, change.model_dump_json(exclude_none=True), at=change.at)
    except EventNeverTakenError as error:
        logger.error("state change skipped", error_code=error.code, reason=str(error), sequence_number=number)
        return
    logger.info("state change published", extra=about)


@cache
def _connect_trail() -> AuditTrail:
    settings = load_settings(PublishTransferEventsSettings)
    return connect_audit_trail(
        make_session(),
        queue_url=settings.audit_queue_url,
        service="publish_transfer_events",
        spool_directory=None,
    )


@cache
def _connect_bus() -> EventBridgeBus:
    settings = load_settings(PublishTransferEventsSettings)
    client = make_session().client("events", config=client_config())
    return EventBridgeBus(client, bus=settings.event_bus, source=SOURCE)
