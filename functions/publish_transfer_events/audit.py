"""What this function says in the audit log: each state that stood in the ledger, whoever has put it there.

Workers and clients say what they do; this is what was seen of it. A state that nobody has announced was written by
somebody who does not use this system's programs.
"""

import re
from hashlib import sha256

from functions.publish_transfer_events.state_change import StateChange, UnreadableRowError
from pqtransfer.audit.events import AuditFacts, EventKind, Severity, Target
from pqtransfer.recording.wording import explain, fit_text, list_names

LEDGER = "ledger"
LARGE_TEXT_LIMIT = 200
"""Characters: at most 6 bytes each in an event, of which 32 KiB are one."""
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def describe_change(change: StateChange, *, sequence_number: str) -> AuditFacts:
    """A transfer is in another state. The number of the stream's record tells that the same one came twice."""
    reason = change.reason or {}
    failure = {"code": fit_text(reason["code"]), "message": fit_text(reason["message"])} if reason else {}
    return AuditFacts(
        kind=EventKind.TRANSFER,
        action="transfer.update",
        actor=fit_text(change.sender),
        target=Target(type="transfer", id=fit_text(change.transfer_id)),
        succeeded=True,
        correlation_id=_correlate(change.correlation_id, sequence_number),
        details={
            "state": fit_text(change.state),
            "previous_state": fit_text(change.previous_state or "-"),
            "changed_at": change.at.isoformat(),
            "record": sequence_number,
            **list_names("recipients", change.recipients),
            **failure,
        },
    )


def describe_large_change(change: StateChange, *, sequence_number: str) -> AuditFacts:
    """The same where the row's texts are more than an event holds: their beginnings, and the digest of all of it.

    No ledger writes such a row, and its record must not hold up those behind it.
    """

    def cut(text: str) -> str:
        return fit_text(text, limit=LARGE_TEXT_LIMIT)

    return AuditFacts(
        kind=EventKind.TRANSFER,
        action="transfer.update",
        actor=cut(change.sender),
        target=Target(type="transfer", id=cut(change.transfer_id)),
        succeeded=True,
        correlation_id=_correlate(change.correlation_id, sequence_number),
        severity=Severity.MEDIUM,
        details={
            "state": cut(change.state),
            "previous_state": cut(change.previous_state or "-"),
            "changed_at": change.at.isoformat(),
            "record": sequence_number,
            "change_sha256": sha256(change.model_dump_json().encode()).hexdigest(),
        },
    )


def describe_unreadable_row(error: UnreadableRowError, *, sequence_number: str) -> AuditFacts:
    """A row that no ledger wrote."""
    return AuditFacts(
        kind=EventKind.SECURITY,
        action="violation.detect",
        actor=LEDGER,
        target=Target(type="record", id=sequence_number),
        succeeded=False,
        correlation_id=_correlate(None, sequence_number),
        severity=Severity.HIGH,
        reason=explain(error),
        details={"code": error.code},
    )


def _correlate(correlation_id: str | None, sequence_number: str) -> str:
    given = correlation_id or ""
    return given if _CORRELATION_ID.fullmatch(given) else f"record-{sequence_number}"[:128]
