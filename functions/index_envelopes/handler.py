"""Bring the index of envelopes to what stands in the data bucket, whenever a transfer has ended.

Reads the transfers table's stream, and takes nothing from it but which container to look at. Whoever writes an envelope
has noted its keys before; here rows are deleted that no envelope needs any more. Once an hour, on a schedule, it also
looks whether containers of before there was an index have to be read (`backfill`), and goes on with that; then with
reading all of them again (`rereading`), without which no key is destroyed.

What its role needs: on the transfers table's stream to read it; on the envelopes table GetItem, Query, PutItem,
DeleteItem and BatchWriteItem; on its index Query; on the data bucket GetObject and ListBucket.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.parser.models import DynamoDBStreamRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.index_envelopes.backfill import Backfill, BackfillReport
from functions.index_envelopes.ended import find_ended
from functions.index_envelopes.rereading import Rereading, RereadReport
from functions.index_envelopes.settings import IndexEnvelopesSettings
from pqtransfer.aws.clients import make_session
from pqtransfer.aws.containers import S3Containers
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.environment import load_settings
from pqtransfer.errors import IntegrityError
from pqtransfer.protection.settling import release_dependencies, settle_dependencies

SECONDS_TO_SPARE = 5.0

logger = Logger(service="index_envelopes")
telemetry = FunctionTelemetry("index_envelopes")
processor = BatchProcessor(event_type=EventType.DynamoDBStreams, model=DynamoDBStreamRecordModel)


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse | dict[str, Any]:
    """Settle what the batch of stream records names, and name those that failed; or go on with the backfill."""
    if "Records" not in event:
        report = backfill(seconds_left=context.get_remaining_time_in_millis() / 1000)
        if not report.complete:
            return report.model_dump()
        again = reread(seconds_left=context.get_remaining_time_in_millis() / 1000)
        return {**report.model_dump(), "again": again.model_dump()}
    return process_partial_response(event=event, record_handler=settle_record, processor=processor, context=context)


def settle_record(record: DynamoDBStreamRecordModel) -> None:
    """Settle the container that one stream record names, if its transfer has ended.

    Raises:
        CloudError: it could not be read or written now; it is tried again, and at last goes to the stream's failures.
    """
    ended = find_ended(record)
    if ended is None:
        return
    about = {"transfer_id": ended.transfer_id, "correlation_id": ended.correlation_id}
    index, containers = _connect()
    container = containers.container(f"transfers/{ended.transfer_id}/")
    try:
        if ended.has_container:
            needed = settle_dependencies(ended.transfer_id, container, index=index)
            logger.info("settled", extra={**about, "keys": len(needed)})
        else:
            release_dependencies(ended.transfer_id, container, index=index)
    except IntegrityError as error:  # its rows stay: no key is destroyed for it, and whoever reads it is told
        logger.error("left as it is", extra={**about, "reason": str(error)})


def backfill(*, seconds_left: float) -> BackfillReport:
    """Go on with reading the containers of before there was an index, for as long as there is time."""
    index, containers = _connect()
    report = Backfill(index=index, containers=containers).run(
        now=datetime.now(UTC), seconds=max(0.0, seconds_left - SECONDS_TO_SPARE)
    )
    logger.info("backfill", extra=report.model_dump())
    return report


def reread(*, seconds_left: float) -> RereadReport:
    """Go on with reading all containers again, for as long as there is time."""
    index, containers = _connect()
    every = timedelta(hours=load_settings(IndexEnvelopesSettings).reread_hours)
    report = Rereading(index=index, containers=containers, every=every).run(
        now=datetime.now(UTC), seconds=max(0.0, seconds_left - SECONDS_TO_SPARE)
    )
    logger.info("read again", extra=report.model_dump())
    return report


@cache
def _connect() -> tuple[DynamoDependencyIndex, S3Containers]:
    settings, session = load_settings(IndexEnvelopesSettings), make_session()
    return (
        DynamoDependencyIndex.open(session, settings.envelopes_table),
        S3Containers.open(session, bucket=settings.data_bucket),
    )
