"""Append what comes on the two audit queues to the audit log: what the system sends, and what sites send.

Of each queue there is one delivery at a time, as all its messages have one group. Of two that meet, one loses, and
tries again a moment later.

A message is deleted when each of its events is in the log, or is kept under `refused/` with the reason. When the log
cannot be appended to, messages stay in the queue and come again; if somebody has changed the log, an alert says so.
"""

import json
import random
import time
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.sequence_audit_log.delivery import Delivery, Message, make_damage_alert
from functions.sequence_audit_log.settings import SequenceAuditLogSettings
from pqtransfer.audit.derived_keys import LOG_KINDS
from pqtransfer.audit.key_changes import SigningKeys, describe_replacement
from pqtransfer.audit.origins import Origin
from pqtransfer.audit.sequencer import Sequencer
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_log import S3LogStore
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_signing import SigningSecrets, publish_signing_keys
from pqtransfer.aws.audit_state import DynamoStateStore
from pqtransfer.aws.audit_trust import LOG_KEYS_PATH, S3TrustBucket
from pqtransfer.aws.clients import client_config, make_object_client, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.failures import CloudError
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.environment import load_settings
from pqtransfer.errors import InputError, IntegrityError

SOURCE, SEQUENCER = "pqtransfer", "sequence-audit-log"
SIGNED_DETAIL_TYPE = "AuditCheckpointSigned"
FIRST_WAIT_SECONDS, WAIT_AT_MOST_SECONDS = 0.1, 2.0
"""After a lost race: at most 0.1 s, then twice as long each time. Seven of them are less than 8 s."""

logger = Logger(service="sequence_audit_log")
telemetry = FunctionTelemetry("sequence_audit_log")


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Append the delivery; name the messages that have to come again."""
    started = time.monotonic()
    messages = [Message(record["messageId"], record["body"]) for record in event["Records"]]
    settings = load_settings(SequenceAuditLogSettings)
    origin = find_origin({str(record["eventSourceARN"]) for record in event["Records"]}, settings)
    try:
        delivery = connect_delivery(settings, origin)
    except IntegrityError as error:  # other keys than these were published
        EventBridgeAlerts(_connect_bus(settings)).raise_alert(make_damage_alert(error, now=datetime.now(UTC)))
        raise
    delivered = delivery.take(messages)
    if delivered.appended:
        _tell_witness(settings, delivered.size)
    if delivered.failure is not None:
        logger.error("audit events wait", error_code=delivered.failure.code, reason=str(delivered.failure))
    telemetry.done(delivered.appended)
    logger.info(
        "audit events taken",
        extra={
            "appended": delivered.appended,
            "repeated": delivered.repeated,
            "refused": delivered.refused,
            "size": delivered.size,
            "missing": delivered.gaps,
            "milliseconds": round(1000 * (time.monotonic() - started)),
        },
    )
    return {"batchItemFailures": [{"itemIdentifier": each} for each in delivered.failed]}


class UnknownQueueError(InputError):
    """A delivery is not of one of the two audit queues."""

    def __init__(self, arns: AbstractSet[str]) -> None:
        super().__init__(f"{', '.join(sorted(arns))} is none of the audit queues; see which ones run this function")


def find_origin(arns: AbstractSet[str], settings: SequenceAuditLogSettings) -> Origin:
    """Which queue a delivery came from, as Lambda says: the senders have no say in it.

    Raises:
        UnknownQueueError: from none of the two, or from several.
    """
    origins = {settings.audit_queue_arn: Origin.SYSTEM, settings.site_audit_queue_arn: Origin.SITES}
    if len(arns) != 1 or not arns <= origins.keys():
        raise UnknownQueueError(arns)
    (arn,) = arns
    return origins[arn]


def wait_after_race(lost: int) -> None:
    """Sleep, longer after each race that was lost in a row, and never as long as the other one."""
    time.sleep(random.uniform(0, min(WAIT_AT_MOST_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (lost - 1))))  # noqa: S311 - jitter


def connect_delivery(settings: SequenceAuditLogSettings, origin: Origin) -> Delivery:
    """A delivery of this environment, on AWS."""
    session, config, keys = make_session(), client_config(), load_keys(settings)
    store = S3LogStore(make_object_client(session), bucket=settings.audit_bucket)
    return Delivery(
        sequencer=Sequencer(
            settings.origin,
            log=store,
            states=DynamoStateStore(session.client("dynamodb", config=config), table=settings.audit_state_table),
            signers=keys.signers,
            former_policies=keys.list_policies(settings.origin),
        ),
        store=store,
        alerts=EventBridgeAlerts(_connect_bus(settings)),
        origin=origin,
        now=datetime.now(UTC),
        wait=wait_after_race,
    )


@cache
def load_keys(settings: SequenceAuditLogSettings) -> SigningKeys:
    """The log's keys. Nothing is signed before they are published; that they replace others is an event of the log."""
    session = make_session()

    def announce(keys: SigningKeys) -> None:
        trail = connect_audit_trail(
            session, queue_url=settings.audit_queue_url, service=SEQUENCER, spool_directory=None
        )
        trail.record(describe_replacement(keys, of=settings.origin, actor=SEQUENCER, at=datetime.now(UTC)))

    return publish_signing_keys(
        SigningSecrets(settings.origin, LOG_KINDS, settings.log_keys_id, settings.former_log_keys_id),
        client=session.client("secretsmanager", config=client_config()),
        kms=session.client("kms", config=client_config()),
        trust=S3TrustBucket(make_object_client(session), bucket=settings.audit_trust_bucket),
        path=LOG_KEYS_PATH,
        announce=announce,
    )


def _tell_witness(settings: SequenceAuditLogSettings, size: int | None) -> None:
    """So that the checkpoint is witnessed at once. If nobody hears it, the witness looks by itself within a minute."""
    detail = json.dumps({"origin": settings.origin, "size": size})
    try:
        _connect_bus(settings).put(SIGNED_DETAIL_TYPE, detail, at=datetime.now(UTC))
    except CloudError as error:
        logger.warning("the witness was not told", error_code=error.code, reason=str(error))


def _connect_bus(settings: SequenceAuditLogSettings) -> EventBridgeBus:
    client = make_session().client("events", config=client_config())
    return EventBridgeBus(client, bus=settings.event_bus, source=SOURCE)
