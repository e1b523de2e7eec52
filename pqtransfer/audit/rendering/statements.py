"""What a report says on its first page of the log that it is made of: loudly, when it could not be verified."""

from dataclasses import dataclass
from typing import Literal

from pqtransfer.audit.report_model import ComplianceReport, Framework, IntegrityStatus

FINDINGS_FIRST = 6
"""So many findings stand in the verdict itself, so that they are on the first page."""


@dataclass(frozen=True)
class Verdict:
    """`level`: good, warning (events are missing) or bad (what is there is not true, or nothing can be said)."""

    level: Literal["good", "warning", "bad"]
    title: str
    text: str


def judge(integrity: IntegrityStatus) -> Verdict:
    """The verdict on a log."""
    if not integrity.verified:
        return Verdict(
            "bad",
            "This log could not be verified",
            "No checkpoint that the log's keys have signed was shown. Nothing in the log can be relied on, and this "
            "report has no figures of it. Keep the log's files as evidence and find out who could write to them.",
        )
    if not integrity.intact:
        return Verdict(
            "bad",
            "This log is not intact",
            "What is in the log is not, or not all, what its keys have signed. The figures below are those of the "
            "entries that still lead to the signed root, and may lack others. Do not rely on this report as a complete "
            "record; keep the log's files as evidence and find out who could write to them.",
        )
    if not integrity.complete:
        return Verdict(
            "warning",
            "The log is intact, but events are missing",
            "Every entry is what the log's keys have signed. But producers have numbered events that the log does not "
            "have; they are named below. A producer's spool may still bring them.",
        )
    return Verdict(
        "good",
        "The log is intact and complete",
        "Every entry that was read is what the log's keys have signed, and no producer's numbering has a gap.",
    )


def list_first_findings(integrity: IntegrityStatus) -> list[str]:
    """The findings that stand in the verdict, and how many more there are."""
    shown = [
        f"{each.kind}: {each.place}{_span(each.first, each.last)}: {each.explanation}"
        for each in integrity.findings[:FINDINGS_FIRST]
    ]
    more = len(integrity.findings) - len(shown) + integrity.findings_left_out
    return [*shown, f"and {more:,} more"] if more else shown


def list_answers(report: ComplianceReport, section_key: str) -> str:
    """Which controls a section has evidence for, each framework's name once."""
    groups = []
    for framework, name in ((Framework.SOX, ""), (Framework.HIPAA, "45 CFR "), (Framework.PCI_DSS, "PCI DSS v4.0.1, ")):
        references = [
            control.reference.removeprefix(name)
            for control in report.controls
            if control.framework is framework and section_key in control.sections
        ]
        if references:
            groups.append(name.replace(", ", " ") + "; ".join(references))
    return ". ".join(groups)


def _span(first: int | None, last: int | None) -> str:
    return "" if first is None else f" {first}" if last is None else f" {first} to {last}"
