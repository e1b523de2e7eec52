"""Make the compliance report of the month before. Runs on the first of each month, and for any period when asked:
`{"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z", "framework": "hipaa"}`.

The report is written as a page and as data under `reports/` in the bucket of the log, which locks it; that it was made,
with the digest of the page, is an event of the log. What one run has no time for, it leaves to the next by an event on
the bus: what it has added up so far stands in the trust bucket.
"""

import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import AwareDatetime, BaseModel

from functions.report_compliance.parts import Part, PartMemory
from functions.report_compliance.settings import ReportComplianceSettings
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.rendering.html import render_html
from pqtransfer.audit.rendering.tables import render_json
from pqtransfer.audit.report_model import ComplianceReport, Framework
from pqtransfer.audit.reporting import add_up, begin_activity, compose_report, find_previous_month, name_report
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.aws.audit_files import S3LogFiles
from pqtransfer.aws.audit_queue import connect_audit_trail
from pqtransfer.aws.audit_reports import S3ReportShelf
from pqtransfer.aws.audit_trust import S3TrustBucket
from pqtransfer.aws.clients import client_config, make_object_client, make_session
from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.aws.function_telemetry import FunctionTelemetry
from pqtransfer.aws.read_ahead import ReadAheadLogFiles
from pqtransfer.environment import load_settings

REPORTER = "report-compliance"
SOURCE, UNFINISHED_DETAIL_TYPE = "pqtransfer", "ComplianceReportUnfinished"
SECONDS_TO_WRITE = 240.0
"""With less left no more is read: the rest is for the report, or for what was added up so far."""

logger = Logger(service="report_compliance")
telemetry = FunctionTelemetry("report_compliance")


class ReportWanted(BaseModel):
    """Which report; left out, the month before, for all frameworks."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    framework: Framework = Framework.ALL


@logger.inject_lambda_context
@telemetry.observe
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Make, write and record the report; where it is, and whether the log was intact."""
    settings, now = load_settings(ReportComplianceSettings), datetime.now(UTC)
    wanted = ReportWanted.model_validate(event.get("detail") or event)
    begin, end = find_previous_month(now)
    since, until = wanted.since or begin, wanted.until or end
    client = make_object_client(make_session())
    trust = S3TrustBucket(client, bucket=settings.audit_trust_bucket)
    memory = PartMemory(trust, since=since, until=until, framework=wanted.framework)
    part = memory.load() or Part(begin_activity(since, until))
    if memory.began_again:
        logger.warning("what was added up before cannot be read; the report begins again")
    checked = add_up(
        ReadAheadLogFiles(S3LogFiles(client, bucket=settings.audit_bucket)),
        trust.load_keys(settings.origin).to_policy(),
        activity=part.activity,
        cursor=part.cursor,
        may_go_on=lambda: context.get_remaining_time_in_millis() / 1000 > SECONDS_TO_WRITE,
    )
    if checked.cursor is not None:
        goes_on = ReportWanted(since=since, until=until, framework=wanted.framework)
        return leave_rest(settings, memory, Part(part.activity, checked.cursor), goes_on)
    report = compose_report(part.activity, checked, framework=wanted.framework, since=since, until=until, now=now)
    page = render_html(report).encode()
    shelf = S3ReportShelf(client, bucket=settings.audit_bucket)
    shelf.put(f"{name_report(report)}.json", render_json(report), content_type="application/json")
    path = shelf.put(f"{name_report(report)}.html", page, content_type="text/html; charset=utf-8")
    facts = describe_report(report, page, path, correlation_id=f"{REPORTER}-{context.aws_request_id}")
    connect_trail(settings.audit_queue_url).record(facts)
    try:
        memory.forget()
    except LogMovedError:
        logger.info("another run makes this report too")
    answer = {"report": path, "events": report.events, "intact": report.integrity.intact}
    telemetry.done(1)
    logger.info("compliance report made", extra=answer)
    return answer


def leave_rest(
    settings: ReportComplianceSettings, memory: PartMemory, part: Part, wanted: ReportWanted
) -> dict[str, Any]:
    """Keep what was added up, and let another run go on; how far this one has come."""
    read = part.cursor.verified.next_index if part.cursor else 0
    try:
        memory.save(part)
    except LogMovedError:
        logger.info("another run goes on with this report")
        return {"report": None, "read": read}
    client = make_session().client("events", config=client_config())
    bus = EventBridgeBus(client, bus=settings.event_bus, source=SOURCE)
    bus.put(UNFINISHED_DETAIL_TYPE, json.dumps(wanted.model_dump(mode="json")), at=datetime.now(UTC))
    logger.info("compliance report goes on", extra={"read": read})
    return {"report": None, "read": read}


def describe_report(report: ComplianceReport, page: bytes, path: str, *, correlation_id: str) -> AuditFacts:
    """The event that says that a report was made; it failed when the log was not intact."""
    intact = report.integrity.intact
    return AuditFacts(
        kind=EventKind.ADMINISTRATION,
        action="report.create",
        actor=REPORTER,
        target=Target(type="report", id=path),
        succeeded=intact,
        reason=None if intact else "the log is not intact, and the report says so",
        correlation_id=correlation_id,
        details={
            "framework": str(report.framework),
            "since": report.since.isoformat(),
            "until": report.until.isoformat(),
            "html_sha256": hashlib.sha256(page).hexdigest(),
            "log_size": str(report.integrity.size or 0),
        },
    )


@cache
def connect_trail(queue_url: str) -> AuditTrail:
    """One producer for the life of this instance."""
    return connect_audit_trail(make_session(), queue_url=queue_url, service=REPORTER, spool_directory=None)
