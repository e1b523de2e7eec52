"""Answer the report that keys of a participant were lost. Every step can be repeated; nothing is forgotten.

Four things call it: an administrator (`pqtransfer keys report-compromise`, or `incident ID --retry`), a
`CompromiseReported` event on the bus, a message of its own by which it goes on with an incident, and a schedule that
finds incidents that nobody goes on with. The first two revoke at once, and leave the rest to messages.

Its role is its own, and participants' roles trust it. What it needs: on the participants table Query, Scan and
UpdateItem, to revoke and never to add; on the envelopes table and its index to read and keep them; on the incidents
table Query, GetItem and PutItem; on the transfers table GetItem, PutItem and UpdateItem; on containers GetObject, of
payload and envelope DeleteObjectVersion, of envelope and second signature PutObject; on the audit log to read it; to
act as participants; SendMessage to the queues of transfers, of the key service, of the audit log and of its own;
PutEvents.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.respond_to_compromise.messages import read_go_on, read_report, read_retry
from functions.respond_to_compromise.service import IncidentService, connect_incident_service
from pqtransfer.aws.clients import make_session
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.proven_callers import CallerUnknownError, StsPlace, ask_sts, prove_caller, take_proof
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.registration import Refusal
from pqtransfer.protection.incidents import COMPROMISE_REPORTED_DETAIL_TYPE, Incident

RESERVE_MS = 10_000
"""What is begun in the last seconds is gone on with by the next run."""

STS_TIMEOUT_SECONDS = 1
"""For connecting, and again for the answer: a revocation takes effect within 5 s, and is not held up for a name."""

logger = Logger(service="respond_to_compromise")
telemetry = FunctionTelemetry("respond_to_compromise")
processor = BatchProcessor(event_type=EventType.SQS)


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Go on with incidents, look for forgotten ones, or take a report."""
    service = connect_incident_service(has_time=lambda: context.get_remaining_time_in_millis() > RESERVE_MS)
    if "Records" in event:
        return process_partial_response(
            event=event,
            record_handler=lambda record: go_on(record, service),
            processor=processor,
            context=context,
        )
    if event.get("action") == "resume":
        return {"resumed": service.resume()}
    if event.get("detail-type") == COMPROMISE_REPORTED_DETAIL_TYPE:
        return {"incident_id": service.take(read_report(event["detail"])).incident_id}
    return answer_administrator(event, service, function=context.function_name)


def answer_administrator(event: dict[str, Any], service: IncidentService, *, function: str) -> JsonObject:
    """The incident that was opened, or opened again, or why it was not.

    A proof of the caller that does not hold is refused. One that cannot be checked now holds up no revocation.
    """
    try:
        asked, _ = take_proof(event)
        proven = prove(event, function=function)
        retry = asked.get("action") == "retry"
        incident = service.retry(read_retry(asked)) if retry else service.take(read_report(asked, proven_caller=proven))
    except PqtransferError as error:
        logger.warning("report not taken", error_code=error.code, reason=str(error))
        return {"error": Refusal.of(error).model_dump(mode="json")}
    document: JsonObject = incident.model_dump(mode="json")
    return {"incident": document}


def prove(event: dict[str, Any], *, function: str) -> str | None:
    """Who calls, as far as AWS tells it now.

    Raises:
        CallerNotProvenError: the proof does not hold.
    """
    try:
        return prove_caller(
            event,
            function=function,
            place=_find_sts(),
            now=datetime.now(UTC),
            ask=partial(ask_sts, timeout_seconds=STS_TIMEOUT_SECONDS),
        )
    except CallerUnknownError as error:
        logger.warning("caller not proven", error_code=error.code, reason=str(error))
        return None


@cache
def _find_sts() -> StsPlace:
    return StsPlace(make_session())


def go_on(record: SQSRecord, service: IncidentService) -> Incident:
    """Go on with the incident that a message names.

    Raises:
        PqtransferError: a step failed; the message comes again.
    """
    message = read_go_on(record.body)
    incident = service.work(message.incident_id, run=message.run)
    logger.info("went on", extra={"incident": incident.incident_id, "step": incident.step})
    return incident
