"""Rotate the keys that are due, retire and destroy old ones. Each step can be repeated safely.

Three things call it: the schedule, which makes it look for what is due and send an order for each; the queue of these
orders; and an administrator, whose order goes to the same queue, so that one participant's keys change one by one.

Its role is its own, and participants' roles trust it. What it needs: on the participants table Scan, Query, PutItem and
UpdateItem; on the secrets of participants the same as `register_participant`, and never GetSecretValue: it reads a key
as anyone does, by acting as its participant; PutObject and Encrypt for backups, and never GetObject nor Decrypt of
them; PutEvents; its queue.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.rotate_keys.records import describe_taken
from functions.rotate_keys.service import KeyService, connect_key_service
from functions.rotate_keys.settings import RotateKeysSettings
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import make_session
from pqtransfer.aws.dependency_index import DynamoDependencyIndex
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.key_orders import SWEEP_GROUP
from pqtransfer.aws.proven_callers import StsPlace, prove_caller, take_proof
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.environment import load_settings
from pqtransfer.errors import InputError, IntegrityError, PqtransferError
from pqtransfer.keys.orders import read_order, without_proof
from pqtransfer.keys.registration import Refusal

SWEEP_RESERVE_MS = 10_000
"""A page takes a second or two; what is left when this much time is left goes to another run."""

logger = Logger(service="rotate_keys")
telemetry = FunctionTelemetry("rotate_keys")
processor = SqsFifoPartialProcessor(skip_group_on_error=True)


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> Mapping[str, Any]:
    """Orders from the queue, a sweep, or one order of an administrator."""
    if "Records" in event:
        return process_partial_response(
            event=event, record_handler=handle_message, processor=processor, context=context
        )
    if event.get("action") == SWEEP_GROUP:
        return sweep(event.get("cursor"), context)
    return take_order(event, function=context.function_name)


def take_order(event: dict[str, Any], *, function: str) -> JsonObject:
    """Put an administrator's order into the queue, and answer with it.

    Who was proven to have made it is recorded here, where it was proven. It does not go through the queue: whoever may
    call this function can hand it messages, too, with any name in them.
    """
    try:
        asked, _ = take_proof(event)
        proven = prove_caller(event, function=function, place=_find_sts(), now=datetime.now(UTC))
        order = read_order({**asked, "proven_caller": proven})
        service = _connect()
        service.trail.record(describe_taken(order))
        service.orders.send([without_proof(order)])
    except PqtransferError as error:
        logger.warning("order not taken", error_code=error.code, reason=str(error))
        return {"error": Refusal.of(error).model_dump(mode="json")}
    logger.info("order taken", action=order.action, participant=order.participant, correlation_id=order.correlation_id)
    document: JsonObject = order.model_dump(mode="json")
    return {"order": document}


def sweep(cursor: str | None, context: LambdaContext) -> JsonObject:
    """Look for what is due, and send an order for each."""
    found = (
        _connect()
        .sweeper()
        .sweep(cursor=cursor, has_time=lambda: context.get_remaining_time_in_millis() > SWEEP_RESERVE_MS)
    )
    telemetry.done(found.orders)
    logger.info("looked for due keys", keys=found.keys, orders=found.orders, finished=found.finished)
    return {"keys": found.keys, "orders": found.orders, "finished": found.finished}


def handle_message(record: SQSRecord) -> None:
    """Carry out what one message says.

    Raises:
        PqtransferError: it may succeed later; the message comes again. What never will is logged, and not retried: the
            next sweep makes a new order of whatever is still due.
    """
    document = json.loads(record.body)
    if isinstance(document, dict) and document.get("action") == SWEEP_GROUP:
        _continue_sweep(document)
        return
    try:
        order = without_proof(read_order(document))
        logger.append_keys(participant=order.participant, correlation_id=order.correlation_id)
        done = _connect().carry_out(order)
    except (InputError, IntegrityError) as error:
        logger.error("order not carried out", error_code=error.code, reason=str(error))
        return
    logger.info("order carried out", action=order.action, done=done)


def _continue_sweep(document: dict[str, Any]) -> None:
    service = _connect()
    found = service.sweeper().sweep(cursor=document.get("cursor"), has_time=lambda: False)
    logger.info("went on looking for due keys", keys=found.keys, orders=found.orders, finished=found.finished)


@cache
def _find_sts() -> StsPlace:
    return StsPlace(make_session())


@cache
def _connect() -> KeyService:
    settings, session = load_settings(RotateKeysSettings), make_session()
    trail = connect_audit_trail(
        session, queue_url=settings.audit_queue_url, service="rotate-keys", spool_directory=None
    )
    return connect_key_service(
        settings, session, trail=trail, dependents=DynamoDependencyIndex.open(session, settings.envelopes_table)
    )
