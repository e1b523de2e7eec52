"""Prove that the backups of private keys can be restored, and tell the administrators when one cannot.

The schedule and the bus call it for all keys; what one run has no time for, it leaves to the next by an event.
An administrator may ask for one participant, and is answered.

What its role needs: on the participants table Scan and Query; on the bucket of backups ListBucket and GetObject; on the
key that seals them Decrypt; PutEvents; its audit queue. It reads no secret, and writes nothing that holds a key.
"""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.drill_key_restore.drilling import DrillReport, RestoreDrill
from functions.drill_key_restore.settings import DrillKeyRestoreSettings
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.clients import Session, client_config, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.folder import S3Connection
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.key_backups import KmsBackupSealer, S3BackupStore
from pqtransfer.aws.key_catalogue import DynamoKeyCatalogue
from pqtransfer.aws.participants import DynamoKeyRegistry
from pqtransfer.crypto.canonical_json import JsonObject
from pqtransfer.environment import load_settings
from pqtransfer.errors import PqtransferError
from pqtransfer.keys.events import DRILL_CONTINUES_DETAIL_TYPE
from pqtransfer.keys.registration import Refusal
from pqtransfer.operations.metrics import DRILLS_FINISHED, KEY_RESTORES_FAILED, KEYS_RESTORED

SERVICE = "drill_key_restore"
EVENT_SOURCE = "pqtransfer"
DRILL_RESERVE_MS = 60_000
"""What is not begun when this much time is left goes to another run. A page of keys takes some seconds."""
ENDING_MS = 10_000
"""Enough to raise an alert and fail: better than to be killed without a word."""
PAGE_ITEMS = 25
"""How many items of the registry a page has: what is begun within the reserve is done within it."""

logger = Logger(service=SERVICE)
telemetry = FunctionTelemetry(SERVICE)


@logger.inject_lambda_context(clear_state=True)
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> JsonObject:
    """Drill the participant that is named, or all from the cursor on."""
    settings = load_settings(DrillKeyRestoreSettings)
    asked = event.get("detail") or event
    drill = connect_drill(settings, asked_by=asked.get("asked_by") or f"pqtransfer/{SERVICE}")
    try:
        if asked.get("participant"):
            report = drill.drill_participant(asked["participant"])
        else:
            report = drill.drill_all(
                cursor=asked.get("cursor"),
                has_time=lambda: context.get_remaining_time_in_millis() > DRILL_RESERVE_MS,
                is_ending=lambda: context.get_remaining_time_in_millis() < ENDING_MS,
            )
            _leave_rest(settings, report, at=drill.now)
    except PqtransferError as error:
        logger.error("keys not drilled", error_code=error.code, reason=str(error))
        if not asked.get("participant"):
            raise
        return {"error": Refusal.of(error).model_dump(mode="json")}
    _publish(report, is_whole=not asked.get("participant") and report.next_cursor is None)
    return describe_report(report)


def connect_drill(settings: DrillKeyRestoreSettings, *, asked_by: str) -> RestoreDrill:
    """The drill of this environment, on AWS."""
    session, config = make_session(), client_config()
    dynamodb = session.client("dynamodb", config=config)
    return RestoreDrill(
        environment=settings.environment,
        registry=DynamoKeyRegistry(dynamodb, table_name=settings.participants_table),
        catalogue=DynamoKeyCatalogue(dynamodb, table_name=settings.participants_table, page_items=PAGE_ITEMS),
        store=S3BackupStore(S3Connection.open(session).client, bucket=settings.key_backups_bucket),
        sealer=KmsBackupSealer(session.client("kms", config=config), key_arn=settings.key_backups_key_arn),
        trail=_connect_trail(settings.audit_queue_url),
        alerts=EventBridgeAlerts(_connect_bus(session, settings)),
        now=datetime.now(UTC),
        correlation_id=f"drill-{uuid4()}",
        asked_by=asked_by,
    )


def _leave_rest(settings: DrillKeyRestoreSettings, report: DrillReport, *, at: datetime) -> None:
    if report.next_cursor is not None:
        rest = json.dumps({"cursor": report.next_cursor})
        _connect_bus(make_session(), settings).put(DRILL_CONTINUES_DETAIL_TYPE, rest, at=at)


def _publish(report: DrillReport, *, is_whole: bool) -> None:
    """An alarm waits for `DrillsFinished`: a drill of all that never comes to its end says so by its silence."""
    if is_whole:
        telemetry.put({DRILLS_FINISHED: 1})
    telemetry.put({KEYS_RESTORED: len(report.restored), KEY_RESTORES_FAILED: len(report.failed)})
    telemetry.done(len(report.restored))
    logger.info("keys drilled", restored=len(report.restored), failed=len(report.failed))


def describe_report(report: DrillReport) -> JsonObject:
    """What a caller is told of a drill."""
    return {
        "restored": len(report.restored),
        "failed": [
            {
                "participant": failed.key.participant,
                "purpose": failed.key.purpose,
                "key_id": failed.key.key_id,
                "error": failed.error.code,
                "message": str(failed.error),
            }
            for failed in report.failed
        ],
        "finished": report.next_cursor is None,
    }


def _connect_bus(session: Session, settings: DrillKeyRestoreSettings) -> EventBridgeBus:
    client = session.client("events", config=client_config())
    return EventBridgeBus(client, bus=settings.event_bus, source=EVENT_SOURCE)


@cache
def _connect_trail(queue_url: str) -> AuditTrail:
    return connect_audit_trail(make_session(), queue_url=queue_url, service="drill-key-restore", spool_directory=None)
