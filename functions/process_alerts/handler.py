"""Process alerts: what happened, who must know, what is tried.

Events come from the buses through a queue (alarms, ECS, findings, our own alerts and transfers); the clock
comes every minute; `pqtransfer alerts ack` and `silence` come by invocation. The rules are in `pqtransfer.operations`.
"""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.process_alerts.connecting import connect_alert_service
from functions.process_alerts.orders import answer_order
from functions.process_alerts.service import AlertService
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.operations.metrics import CLOCK_RUNS, EVENTS_UNKNOWN

RESERVE_MS = 20_000
"""What is begun in the last seconds is gone on with by the next run."""

logger = Logger(service="process_alerts")
telemetry = FunctionTelemetry("process_alerts")
processor = BatchProcessor(event_type=EventType.SQS)


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Take events from the queue, go on with what is due, or do as an operator says."""
    service = connect_alert_service(
        run_id=context.aws_request_id, has_time=lambda: context.get_remaining_time_in_millis() > RESERVE_MS
    )
    if "Records" in event:
        return process_partial_response(
            event=event, record_handler=lambda record: take(record, service), processor=processor, context=context
        )
    if event.get("action") == "tick":
        due = service.tick()
        telemetry.done(due)
        telemetry.put({CLOCK_RUNS: 1})
        return {"due": due}
    return answer_order(event, service)


def take(record: SQSRecord, service: AlertService) -> None:
    """One event; it comes again when it cannot be taken now.

    Raises:
        PqtransferError: something does not answer.
    """
    is_known = service.take(record.body)
    telemetry.put({EVENTS_UNKNOWN: int(not is_known)})
    logger.info("event taken", extra={"message_id": record.message_id, "understood": is_known})
