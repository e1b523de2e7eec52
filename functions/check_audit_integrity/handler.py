"""Check the audit log. Runs every hour over what is new, and once a day over everything (`{"full": true}`).

What one run has no time for, it leaves to the next by an event on the bus: where it has come to is remembered.
What it trusts (public keys, and what it verified last) stands where nobody can write who can write the log.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.check_audit_integrity.comparison import Comparison
from functions.check_audit_integrity.inspection import CHECKER, Inspection, summarize
from functions.check_audit_integrity.settings import CheckAuditIntegritySettings
from pqtransfer.audit.cursors import CURSOR_LIMIT_BYTES, CheckCursor, MalformedCursorError
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES, TrustedLog
from pqtransfer.aws.alerts import EventBridgeAlerts
from pqtransfer.aws.audit_evidence import S3EvidenceStore
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_log import S3LogStore
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_state import DynamoStateStore
from pqtransfer.aws.audit_trust import KeysNotPublishedError, S3TrustBucket
from pqtransfer.aws.clients import client_config, make_object_client, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.read_ahead import ReadAheadLogFiles
from pqtransfer.environment import load_settings
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.operations.alerts import Alert, AlertSeverity
from pqtransfer.operations.metrics import INTEGRITY_FINDINGS

SOURCE = "pqtransfer"
UNFINISHED_DETAIL_TYPE = "AuditCheckUnfinished"
MEMORY_PATH, CURSOR_PATH = "checker/trusted", "checker/cursor"
NOTHING_LEFT = b"-\n"
"""What stands at the cursor when a check is finished."""

logger = Logger(service="check_audit_integrity")
telemetry = FunctionTelemetry("check_audit_integrity")


class TrustMemory:
    """The memory of the check in the trust bucket."""

    def __init__(self, trust: S3TrustBucket) -> None:
        self._trust = trust
        self._etag: str | None = None
        self._cursor_etag: str | None = None

    def load(self) -> TrustedLog | None:
        found = self._trust.find(MEMORY_PATH, limit_bytes=TRUSTED_LIMIT_BYTES)
        self._etag = found.etag if found else None
        return TrustedLog.from_bytes(found.data) if found else None

    def save(self, trusted: TrustedLog) -> None:
        try:
            self._trust.replace(MEMORY_PATH, trusted.to_bytes(), etag=self._etag)
        except LogMovedError:
            logger.info("another check was faster, and remembers what it has verified")

    def load_cursor(self) -> CheckCursor | None:
        found = self._trust.find(CURSOR_PATH, limit_bytes=CURSOR_LIMIT_BYTES)
        self._cursor_etag = found.etag if found else None
        if found is None or found.data == NOTHING_LEFT:
            return None
        try:
            return CheckCursor.from_bytes(found.data)
        except MalformedCursorError as error:
            logger.warning("the check begins again", reason=str(error))
            return None

    def save_cursor(self, cursor: CheckCursor | None) -> None:
        if cursor is None and self._cursor_etag is None:
            return
        self._trust.replace(CURSOR_PATH, cursor.to_bytes() if cursor else NOTHING_LEFT, etag=self._cursor_etag)


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the log; how many entries were read, and how many findings of each kind there are."""
    settings = load_settings(CheckAuditIntegritySettings)
    full = (event.get("detail") or event).get("full") is True
    try:
        inspection = connect_inspection(
            settings,
            run_id=context.aws_request_id,
            seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
        )
        found = inspection.run(full=full)
        if found.goes_on:
            connect_bus(settings).put(UNFINISHED_DETAIL_TYPE, json.dumps({"full": full}), at=datetime.now(UTC))
    except KeysNotPublishedError:
        return {"entries": 0, "findings": {}, "finished": True}  # nothing was ever logged
    except Exception as error:  # whatever it is, nobody looks until it is mended
        code = error.code if isinstance(error, PqtransferError) else type(error).__name__
        connect_alerts(settings).raise_alert(
            Alert(
                code="audit-check-failed",
                key=f"audit-check-failed:{code}",
                severity=AlertSeverity.HIGH if isinstance(error, UnavailableError) else AlertSeverity.CRITICAL,
                summary=f"the audit log cannot be checked: {error}"[:1024],
                remedy="follow docs/runbooks/audit-check-failed.md",
                raised_at=datetime.now(UTC),
                correlation_id=f"{CHECKER}-{context.aws_request_id}",
                details={"error": code},
            )
        )
        raise
    report = found.checked.report
    answer = {
        "entries": report.entries_checked,
        "findings": summarize(found.findings),
        "finished": report.is_finished,
    }
    telemetry.put({INTEGRITY_FINDINGS: len(found.findings)})
    telemetry.done(1)
    logger.info("audit log checked", extra={**answer, "evidence": len(found.evidence)})
    return answer


def connect_inspection(
    settings: CheckAuditIntegritySettings, *, run_id: str, seconds_left: Callable[[], float]
) -> Inspection:
    """A check of this environment, on AWS."""
    session, now = make_session(), datetime.now(UTC)
    s3 = make_object_client(session)
    trust = S3TrustBucket(s3, bucket=settings.audit_trust_bucket)
    policy = trust.load_keys(settings.origin).to_policy()
    states = DynamoStateStore(session.client("dynamodb", config=client_config()), table=settings.audit_state_table)
    return Inspection(
        files=ReadAheadLogFiles(S3LogFiles(s3, bucket=settings.audit_bucket)),
        comparison=Comparison(S3LogStore(s3, bucket=settings.audit_bucket), states, policy, now),
        memory=TrustMemory(trust),
        evidence=S3EvidenceStore(s3, bucket=settings.audit_bucket),
        alerts=connect_alerts(settings),
        trail=connect_trail(settings.audit_queue_url),
        policy=policy,
        now=now,
        correlation_id=f"{CHECKER}-{run_id}",
        seconds_left=seconds_left,
    )


def connect_alerts(settings: CheckAuditIntegritySettings) -> EventBridgeAlerts:
    """Where alerts are raised."""
    return EventBridgeAlerts(connect_bus(settings))


def connect_bus(settings: CheckAuditIntegritySettings) -> EventBridgeBus:
    """The bus of alerts, and of what is left to the next run."""
    client = make_session().client("events", config=client_config())
    return EventBridgeBus(client, bus=settings.event_bus, source=SOURCE)


@cache
def connect_trail(queue_url: str) -> AuditTrail:
    """One producer for the life of this instance."""
    return connect_audit_trail(make_session(), queue_url=queue_url, service=CHECKER, spool_directory=None)
