"""One check of the audit log: verify it, and let nothing that is wrong pass without evidence, alert and event.

Somebody is told first, whatever becomes of the rest; then the evidence is preserved, as far as it can be and there is
time, and then it is recorded. A check that fails half-way is done again. What was verified is remembered only when all
of it was intact.

A log that is too large for one run is checked in parts. What a part finds is told when it is found; where it has come
to is remembered, and the next run goes on from there, with the same result as if it had been one.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from functions.check_audit_integrity.comparison import Comparison
from pqtransfer.audit.checking import PURGED_PATH, CheckedLog, check_log
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, TrustPolicy
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.audit.findings import Finding, FindingKind, Report
from pqtransfer.audit.log_files import LogFiles
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.aws.failures import CloudAccessDeniedError, CloudError, CloudRequestError
from pqtransfer.crypto.canonical_json import write_canonical_json
from pqtransfer.errors import IntegrityError
from pqtransfer.operations.alerts import Alert, Alerts, AlertSeverity

ACTION = "audit.tamper.detect"
CHECKER = "audit-check"

TOLD_AT_MOST = 20
"""Findings that are told one by one; the report in the evidence has all that were kept."""
PRESERVED_AT_MOST = 100
"""Objects; a log that was replaced has thousands that are wrong."""
ALWAYS_PRESERVED = ("checkpoint", "unwitnessed")
SECONDS_KEPT = 240.0
"""For the report and the events: one object has at most 100 versions, and nothing is copied later than this."""
SECONDS_TO_TELL = 400.0
"""With less left no more is read: the alarm, the evidence and the cursor need the rest."""


class CheckMemory(Protocol):
    """What only the check can write."""

    def load(self) -> TrustedLog | None: ...

    def save(self, trusted: TrustedLog) -> None: ...

    def load_cursor(self) -> CheckCursor | None:
        """Where a check of everything has come to that is not finished."""

    def save_cursor(self, cursor: CheckCursor | None) -> None:
        """Replace what was loaded; None: nothing is left to do.

        Raises:
            LogMovedError: another run has gone on from there.
        """


class Evidence(Protocol):
    """Where evidence is preserved."""

    def preserve(self, path: str) -> list[str]:
        """Copy every version of a file; the copies."""

    def place_report(self, name: str) -> str:
        """Where a report of this name will stand."""

    def keep_report(self, name: str, data: bytes) -> None:
        """Keep what was found."""


@dataclass
class Inspected:
    """The outcome. `goes_on`: there is more to read, and another run can do that."""

    checked: CheckedLog
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    not_preserved: dict[str, str] = field(default_factory=dict)
    goes_on: bool = False


@dataclass(frozen=True)
class Inspection:
    """Checks by its ports. `seconds_left`: how long it may still run."""

    files: LogFiles
    comparison: Comparison
    memory: CheckMemory
    evidence: Evidence
    alerts: Alerts
    trail: AuditTrail
    policy: TrustPolicy
    now: datetime
    correlation_id: str
    seconds_left: Callable[[], float]

    def run(self, *, full: bool) -> Inspected:
        """Check what came since the last check, or everything, and the log against its own table.

        What was told by the parts of a check before this one is among the findings, and is not told again.

        Raises:
            AuditUnavailableError: the findings could not be recorded; the alerts are there.
            CloudError: something could not be read or written now, or the report could not be kept; check again.
        """
        trusted = self.memory.load()
        cursor = self.memory.load_cursor() if full else None
        checked = self._check_log(TrustedLog(trusted.checkpoint_note, 0, {}) if full and trusted else trusted, cursor)
        report = checked.report
        is_empty = trusted is None and checked.note is None and self.comparison.log.find_checkpoint() is None
        found = Inspected(checked, [] if is_empty else list(report.findings))
        if report.is_finished:
            found.findings += self._compare(report, known={str(each) for each in found.findings})
        told = len(cursor.report.findings) if cursor else 0
        if len(found.findings) > told:
            self._sound_the_alarm(found, trusted, told=told)
        is_intact = all(each.kind.is_about_completeness for each in found.findings)
        if (report.is_finished or not full) and checked.trusted is not None and is_intact:
            self.memory.save(checked.trusted)
            found.goes_on = not report.is_finished
        if full:
            found.goes_on = self._keep_cursor(checked.cursor)
        return found

    def _compare(self, report: Report, *, known: set[str]) -> list[Finding]:
        times = report.witness_times.values()
        witnessed_at = datetime.fromtimestamp(max(times), UTC) if times else None
        compared = self.comparison.compare(report.checkpoint, report.numberings, witnessed_at=witnessed_at)
        return [each for each in compared if str(each) not in known]

    def _keep_cursor(self, cursor: CheckCursor | None) -> bool:
        """Whether there is more to do, and nobody else who does it."""
        try:
            self.memory.save_cursor(cursor)
        except LogMovedError:
            return False
        return cursor is not None

    def _check_log(self, since: TrustedLog | None, cursor: CheckCursor | None) -> CheckedLog:
        def may_go_on() -> bool:
            return self.seconds_left() > SECONDS_TO_TELL

        try:
            return check_log(self.files, self.policy, since=since, cursor=cursor, may_go_on=may_go_on)
        except (
            CloudAccessDeniedError,
            CloudRequestError,
        ) as error:  # the checkpoint; others are in the report
            report = Report(findings=list(cursor.report.findings)) if cursor else Report()
            report.add(Finding(FindingKind.FILE_UNREADABLE, CHECKPOINT_PATH, explanation=str(error)))
            return CheckedLog(report, None)

    def _sound_the_alarm(self, found: Inspected, trusted: TrustedLog | None, *, told: int) -> None:
        """Tell of the findings behind the first `told`."""
        name = f"{self.now:%Y%m%dT%H%M%S.%f}Z-{self.correlation_id}.json"
        report_at = self.evidence.place_report(name)
        fresh = found.findings[told:]
        tell = fresh[:TOLD_AT_MOST]
        with ExitStack() as rest:  # each is done, in turn, even if the one before fails
            rest.callback(lambda: self.trail.record(*(self._make_facts(finding, report_at) for finding in tell)))
            rest.callback(lambda: self._preserve(found, fresh, trusted, name))
            for finding in tell:
                self.alerts.raise_alert(self._make_alert(finding, report_at, left_out=len(fresh) - len(tell)))
        found.evidence.append(report_at)

    def _preserve(
        self, found: Inspected, fresh: Sequence[Finding], trusted: TrustedLog | None, report_name: str
    ) -> None:
        """What cannot be copied is noted, and holds nothing else up."""
        places = [place for each in fresh if (place := each.place).startswith("tile/") or place == PURGED_PATH]
        for path in list(dict.fromkeys([*ALWAYS_PRESERVED, *places]))[:PRESERVED_AT_MOST]:
            if self.seconds_left() < SECONDS_KEPT:
                found.not_preserved[path] = "there was no time left"
                continue
            try:
                found.evidence += self.evidence.preserve(path)
            except CloudError as error:
                found.not_preserved[path] = str(error)
        self.evidence.keep_report(report_name, self._write_report(found, trusted))

    def _write_report(self, found: Inspected, trusted: TrustedLog | None) -> bytes:
        state = _read_state(self.comparison)
        return write_canonical_json(
            {
                "evidence": found.evidence,
                "findings": [str(each) for each in found.findings],
                "findings_left_out": found.checked.report.findings_left_out,
                "format": "pqtransfer-audit-evidence/1",
                "found_at": self.now.isoformat(),
                "not_preserved": found.not_preserved,
                "shown_checkpoint": (found.checked.note or b"").decode("utf-8", "replace"),
                "state": state,
                "trusted_checkpoint": trusted.checkpoint_note.decode("utf-8", "replace") if trusted else "",
            }
        )

    def _make_alert(self, finding: Finding, report_at: str, *, left_out: int) -> Alert:
        is_tampering = not finding.kind.is_about_completeness
        details = {"finding": str(finding.kind), "place": finding.place, "evidence": report_at}
        if left_out:
            details["more_findings"] = str(left_out)
        code = "audit-log-tampered" if is_tampering else "audit-log-incomplete"
        return Alert(
            code=code,
            key=f"audit-log:{finding.kind}:{finding.place}"[:256],
            severity=AlertSeverity.CRITICAL if is_tampering else AlertSeverity.HIGH,
            summary=f"the audit log is not what it was: {finding}"[:1024],
            remedy=f"follow docs/runbooks/{code}.md",
            raised_at=self.now,
            correlation_id=self.correlation_id,
            details=details,
        )

    def _make_facts(self, finding: Finding, report_at: str) -> AuditFacts:
        numbers = {"first": finding.first, "last": finding.last}
        return AuditFacts(
            kind=EventKind.SECURITY,
            action=ACTION,
            actor=CHECKER,
            target=Target(type="log", id=self.policy.origin),
            succeeded=True,
            correlation_id=self.correlation_id,
            severity=Severity.HIGH if finding.kind.is_about_completeness else Severity.CRITICAL,
            reason=str(finding)[:1024],
            details={
                "finding": str(finding.kind),
                "place": finding.place,
                "evidence": report_at,
                **{name: str(number) for name, number in numbers.items() if number is not None},
            },
        )


def _read_state(comparison: Comparison) -> str:
    """The state as it stands in the table; what is wrong with it, where it cannot be read."""
    try:
        state = comparison.states.find_state()
    except IntegrityError as error:
        return str(error)
    return "" if state is None else state.to_json().decode()


def summarize(findings: Sequence[Finding]) -> dict[str, int]:
    """How many of each kind."""
    kinds = [str(each.kind) for each in findings]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
