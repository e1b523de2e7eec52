"""A signal: something was seen that an alert begins with, goes on with, or ends with.

Whatever comes in (an alarm, an event of ECS, an alert of a function, a finding of GuardDuty) is read into signals; the
rules of alerts know nothing else of the outside.
"""

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.operations.alerts import Alert, AlertSeverity

SUMMARY_LIMIT = 1024
DETAIL_LIMIT = 2048
EVENT_ID_LIMIT = 128

Details = Annotated[dict[str, Annotated[str, Field(max_length=DETAIL_LIMIT)]], Field(max_length=32)]

RANKS = {AlertSeverity.WARNING: 0, AlertSeverity.HIGH: 1, AlertSeverity.CRITICAL: 2}
"""Which severity is higher."""


class Phase(StrEnum):
    """Whether what was seen begins (or still is), or is over."""

    RAISED = "raised"
    CLEARED = "cleared"


class Signal(BaseModel):
    """One thing that was seen. `key` is the same for the same thing again; `cause` for all that has one cause.

    `event_id` is of the event that told of it: an event that comes twice is one. `ends_by_event`: another event will
    tell when it is over; without, it is over when it has not been seen for a while.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Phase = Phase.RAISED
    code: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)
    key: str = Field(min_length=1, max_length=256)
    cause: str = Field(min_length=1, max_length=256)
    severity: AlertSeverity
    summary: str = Field(min_length=1, max_length=SUMMARY_LIMIT)
    remedy: str = Field(min_length=1, max_length=SUMMARY_LIMIT)
    at: AwareDatetime
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    event_id: str = Field(min_length=1, max_length=EVENT_ID_LIMIT)
    ends_by_event: bool = False
    details: Details = Field(default_factory=dict)

    @classmethod
    def of_alert(cls, alert: Alert, *, event_id: str) -> "Signal":
        """The signal of an alert that a function has raised: a cause of its own, so that nothing hides it."""
        return cls(
            code=alert.code,
            key=alert.key,
            cause=fit(f"alert:{alert.key}", 256),
            severity=alert.severity,
            summary=alert.summary,
            remedy=alert.remedy,
            at=alert.raised_at,
            correlation_id=alert.correlation_id,
            event_id=event_id,
            details=alert.details,
        )

    @property
    def alert_id(self) -> str:
        """The id of the alert that it belongs to: the same for the same cause."""
        return name_alert(self.cause)


def name_alert(cause: str) -> str:
    """The id of a cause's alert: 20 hex digits, short enough to type."""
    return hashlib.sha256(cause.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def fit(text: str, limit: int) -> str:
    """The text as a field of this length takes it; what is cut is replaced by the digest of the whole."""
    carried = text.encode("utf-8", "replace").decode()
    if len(carried) <= limit:
        return carried or "-"
    digest = hashlib.sha256(carried.encode()).hexdigest()[:16]
    return f"{carried[: limit - 20]}... {digest}"[:limit]


def rank(severity: AlertSeverity) -> int:
    """Its place among the severities: the highest has the highest number."""
    return RANKS[severity]
