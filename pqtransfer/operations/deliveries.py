"""What people are told, and over which channel: pages, and one delivery of each page for each channel.

A delivery is due, claimed by whoever sends it (for a time: who dies with it is followed by another), and then done or
tried again later, as often as is allowed. All of it stands in the alert's own record, so that what was decided and whom
it is sent to are one write.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.signals import rank

CLAIMED_FOR = timedelta(seconds=180)
"""Longer than the function that sends may run."""
TRIES_AT_MOST = 8
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=30)
RETRY_AFTER_AT_MOST = timedelta(hours=1)


class PageKind(StrEnum):
    """Why people are told."""

    RAISED = "raised"
    WORSE = "worse"
    MORE = "more"
    FLAPPING = "flapping"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class ChannelKind(StrEnum):
    """How a channel takes a message."""

    EMAIL = "email"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


class Route(BaseModel):
    """A channel by name, and what goes there: everything from a severity on, or what was escalated so often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    kind: ChannelKind
    minimum_severity: AlertSeverity = AlertSeverity.WARNING
    from_level: int = Field(default=0, ge=0, le=10)

    def takes(self, severity: AlertSeverity, *, level: int) -> bool:
        """Whether a page of this severity goes there after `level` escalations."""
        return level >= self.from_level and (level > 0 or rank(severity) >= rank(self.minimum_severity))


class Delivery(BaseModel):
    """One page over one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, description="of the page, counted in one occurrence of the alert")
    kind: PageKind
    channel: str
    occurrence: str | None = Field(default=None, description="which occurrence of the alert it tells of")
    decided_at: AwareDatetime
    due_at: AwareDatetime
    tries: int = Field(default=0, ge=0)
    claimed_by: str | None = None
    last_error: str | None = Field(default=None, max_length=256)
    is_told: bool = Field(default=False, description="it was sent, and only the audit log has not taken that")

    @property
    def is_used_up(self) -> bool:
        """Whether it was tried as often as is allowed: whoever tried it last did not come back to say how it ended."""
        return self.tries >= TRIES_AT_MOST and not self.is_told

    @property
    def outlives_occurrence(self) -> bool:
        """Whether it is still to be done when its alert ends or opens anew: somebody has begun it, or waits for it."""
        return self.claimed_by is not None or self.is_told or self.kind is PageKind.RESOLVED

    def claim(self, *, by: str, at: datetime) -> "Delivery":
        """The same, taken for a time by somebody who now tries it."""
        return self.model_copy(update={"claimed_by": by, "due_at": at + CLAIMED_FOR, "tries": self.tries + 1})

    def keep_told(self, *, at: datetime) -> "Delivery":
        """The same, sent, to be recorded later: never sent again, and never given up."""
        pause = min(FIRST_PAUSE * (1 << min(self.tries, 8)), LONGEST_PAUSE)
        return self.model_copy(update={"claimed_by": None, "due_at": at + pause, "is_told": True})

    def postpone(self, *, at: datetime, error: str, retry_after: timedelta | None) -> "Delivery | None":
        """The same, to be tried again later; None when it was tried as often as is allowed."""
        if self.tries >= TRIES_AT_MOST:
            return None
        pause = min(FIRST_PAUSE * (1 << max(self.tries - 1, 0)), LONGEST_PAUSE)
        if retry_after is not None:
            pause = max(pause, min(retry_after, RETRY_AFTER_AT_MOST))
        return self.model_copy(update={"claimed_by": None, "due_at": at + pause, "last_error": error[:256]})
