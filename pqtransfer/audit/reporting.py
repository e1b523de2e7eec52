"""Makes a compliance report of a log: verifies it, adds up the events of the period on the way, and says both.

Only entries that lead to a checkpoint which the keys have signed are in the figures. Of a log that cannot be verified
there are none, and the report says so first.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pqtransfer.audit import report_sections
from pqtransfer.audit.activity import Activity
from pqtransfer.audit.checking import CheckedLog, check_log
from pqtransfer.audit.checkpoints import TrustPolicy
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.errors import MalformedEventError
from pqtransfer.audit.events import read_logged_event
from pqtransfer.audit.frameworks import list_controls
from pqtransfer.audit.log_files import LogFiles
from pqtransfer.audit.report_model import (
    DAYS_AT_MOST,
    ComplianceReport,
    FindingShown,
    Framework,
    IntegrityStatus,
    InvalidPeriodError,
)
from pqtransfer.audit.selection import EventFilter

FINDINGS_SHOWN = 100


def make_report(
    files: LogFiles,
    policy: TrustPolicy,
    *,
    framework: Framework,
    since: datetime,
    until: datetime,
    now: datetime,
    watch: Callable[[int], None] | None = None,
) -> ComplianceReport:
    """Verify a log, and report the events from `since` to before `until`.

    Raises:
        InvalidPeriodError: `until` is not after `since`, or more than ten years later.
    """
    activity = begin_activity(since, until)
    checked = add_up(files, policy, activity=activity, watch=watch)
    return compose_report(activity, checked, framework=framework, since=since, until=until, now=now)


def begin_activity(since: datetime, until: datetime) -> Activity:
    """Nothing of the period yet.

    Raises:
        InvalidPeriodError: `until` is not after `since`, or more than ten years later.
    """
    if not since < until <= since + timedelta(days=DAYS_AT_MOST):
        raise InvalidPeriodError(since, until)
    return Activity(since=since, until=until)


def add_up(
    files: LogFiles,
    policy: TrustPolicy,
    *,
    activity: Activity,
    cursor: CheckCursor | None = None,
    watch: Callable[[int], None] | None = None,
    may_go_on: Callable[[], bool] | None = None,
) -> CheckedLog:
    """Verify a log, and add what is in the period to `activity`; in parts, as `check_log` does.

    Raises:
        UntrustedCheckpointError, MalformedNoteError, MalformedCheckpointError: `cursor` is not of this log.
    """
    wanted = EventFilter(since_ms=activity.since_ms, until_ms=activity.until_ms)

    def visit(index: int, entry: bytes) -> None:
        if not wanted.may_match(entry):
            return
        try:
            activity.add(index, read_logged_event(entry))
        except MalformedEventError:
            return  # the verifier reports it: `not-an-event`

    return check_log(files, policy, cursor=cursor, visit=visit, watch=watch, may_go_on=may_go_on)


def compose_report(
    activity: Activity, checked: CheckedLog, *, framework: Framework, since: datetime, until: datetime, now: datetime
) -> ComplianceReport:
    """The report of what was added up, by a check that is finished."""
    return ComplianceReport(
        framework=framework,
        since=since.astimezone(UTC),
        until=until.astimezone(UTC),
        made_at=now.astimezone(UTC),
        events=activity.total.events,
        integrity=describe_integrity(checked),
        sections=report_sections.make_sections(activity, checked),
        controls=list_controls(framework),
    )


def describe_integrity(checked: CheckedLog) -> IntegrityStatus:
    """What the verification has found, for a report."""
    report, checkpoint = checked.report, checked.report.checkpoint
    shown = report.findings[:FINDINGS_SHOWN]
    return IntegrityStatus(
        intact=report.is_intact,
        complete=report.is_intact and report.is_complete,
        verified=checkpoint is not None,
        log=checkpoint.origin if checkpoint else None,
        size=checkpoint.size if checkpoint else None,
        root_sha256=checkpoint.root.hex() if checkpoint else None,
        witnesses={
            name: datetime.fromtimestamp(seconds, UTC)
            for name, seconds in report.witness_times.items()
            if seconds < datetime.max.replace(tzinfo=UTC).timestamp() - 1
        },
        entries_checked=report.entries_checked,
        entries_purged=checked.first_kept,
        findings=tuple(
            FindingShown(
                kind=str(finding.kind),
                about="completeness" if finding.kind.is_about_completeness else "integrity",
                place=finding.place,
                first=finding.first,
                last=finding.last,
                explanation=finding.explanation,
            )
            for finding in shown
        ),
        findings_left_out=report.findings_left_out + len(report.findings) - len(shown),
    )


def find_previous_month(now: datetime) -> tuple[datetime, datetime]:
    """The beginning of the month before, and of this month (UTC)."""
    until = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (until - timedelta(days=1)).replace(day=1), until


def name_report(report: ComplianceReport) -> str:
    """The name of a report's file without its ending: framework, and first and last day."""
    last = report.until - timedelta(microseconds=1)
    return f"{report.framework}-{report.since:%Y-%m-%d}-{last:%Y-%m-%d}"
