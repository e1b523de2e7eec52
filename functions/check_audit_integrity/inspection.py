"""One check of the audit log: verify it, and let nothing that is wrong pass without evidence, alert and event.

Somebody is told first, whatever becomes of the rest; then the evidence is preserved, as far as it can be and there is
time, and then it is recorded. A check that fails half-way is done again. What was verified is remembered only when all
of it was intact.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from functions.check_audit_integrity.comparison import Comparison
from pqtransfer.audit.checking import PURGED_PATH, CheckedLog, check_log
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, TrustPolicy
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


class CheckMemory(Protocol):
    """What only the check can write."""

    def load(self) -> TrustedLog | None: ...

    def save(self, trusted: TrustedLog) -> None: ...


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
    """The outcome."""

    checked: CheckedLog
    findings: list[Finding] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    not_preserved: dict[str, str] = field(default_factory=dict)


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

        Raises:
            AuditUnavailableError: the findings could not be recorded; the alerts are there.
            CloudError: something could not be read or written now, or the report could not be kept; check again.
        """
        trusted = self.memory.load()
        since = TrustedLog(trusted.checkpoint_note, 0, {}) if full and trusted else trusted
        checked = self._check_log(since)
        report = checked.report
        is_empty = trusted is None and checked.note is None and self.comparison.log.find_checkpoint() is None
        found = Inspected(checked, [] if is_empty else list(report.findings))
        known = {str(each) for each in found.findings}
        times = report.witness_times.values()
        witnessed_at = datetime.fromtimestamp(max(times), UTC) if times else None
        for finding in self.comparison.compare(report.checkpoint, report.numberings, witnessed_at=witnessed_at):
            if str(finding) not in known:
                found.findings.append(finding)
        if found.findings:
            self._sound_the_alarm(found, trusted)
        if checked.trusted is not None and all(each.kind.is_about_completeness for each in found.findings):
            self.memory.save(checked.trusted)
        return found

    def _check_log(self, since: TrustedLog | None) -> CheckedLog:
        try:
            return check_log(self.files, self.policy, since=since)
        except (
            CloudAccessDeniedError,
            CloudRequestError,
        ) as error:  # the checkpoint; others are in the report
            report = Report()
            report.add(Finding(FindingKind.FILE_UNREADABLE, CHECKPOINT_PATH, explanation=str(error)))
            return CheckedLog(report, None)

    def _sound_the_alarm(self, found: Inspected, trusted: TrustedLog | None) -> None:
        name = f"{self.now:%Y%m%dT%H%M%S.%f}Z-{self.correlation_id}.json"
        report_at = self.evidence.place_report(name)
        told = found.findings[:TOLD_AT_MOST]
        with ExitStack() as rest:  # each is done, in turn, even if the one before fails
            rest.callback(lambda: self.trail.record(*(self._make_facts(finding, report_at) for finding in told)))
            rest.callback(lambda: self._preserve(found, trusted, name))
            for finding in told:
                self.alerts.raise_alert(self._make_alert(finding, report_at, left_out=len(found.findings) - len(told)))
        found.evidence.append(report_at)

    def _preserve(self, found: Inspected, trusted: TrustedLog | None, report_name: str) -> None:
        """What cannot be copied is noted, and holds nothing else up."""
        places = [place for each in found.findings if (place := each.place).startswith("tile/") or place == PURGED_PATH]
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
