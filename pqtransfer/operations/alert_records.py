"""An alert as it stands: one record for each cause, with everything that was seen of it and all that is to be done.

One record is one row, changed only from the revision that was read. So whatever comes at once, twice or in another
order, each decision is made once, on what is true.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.errors import InputError
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.deliveries import Delivery
from pqtransfer.operations.recovery import Recovery
from pqtransfer.operations.signals import Details, rank
from pqtransfer.operations.silences import Silence


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class AlertNotFoundError(InputError):
    """No alert has this id."""

    def __init__(self, alert_id: str) -> None:
        super().__init__(f"there is no alert {alert_id[:64]}; `pqtransfer alerts list` shows those that are open")


class AlertMovedError(InputError):
    """An alert was changed by others each time that a change to it was tried."""

    def __init__(self, alert_id: str) -> None:
        super().__init__(f"alert {alert_id} changes all the time; try again")


class Member(BaseModel):
    """One thing that was seen of a cause, by its key. Over when it was cleared after it was seen last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    code: str
    severity: AlertSeverity
    summary: str
    remedy: str
    details: Details
    correlation_id: str
    first_at: AwareDatetime
    last_at: AwareDatetime
    count: int = Field(ge=0)
    cleared_at: AwareDatetime | None = None
    ends_by_event: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is still so, as far as is known. A tie is no end: what was seen at the same time counts."""
        return self.count > 0 and (self.cleared_at is None or self.cleared_at <= self.last_at)


class AlertRecord(BaseModel):
    """One alert. `opened_at` is of this occurrence; a resolved one is opened again when its cause comes back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: str = Field(pattern=r"^[0-9a-f]{20}$")
    cause: str
    revision: int = Field(default=0, ge=0)
    state: AlertState = AlertState.RESOLVED
    severity: AlertSeverity = AlertSeverity.WARNING
    opened_at: AwareDatetime
    changed_at: AwareDatetime
    members: tuple[Member, ...] = ()
    members_left_out: int = Field(default=0, ge=0)
    openings: tuple[AwareDatetime, ...] = ()
    is_flapping: bool = False
    pages: int = Field(default=0, ge=0, description="pages of this occurrence")
    paged_at: AwareDatetime | None = None
    paged_severity: AlertSeverity | None = None
    level: int = Field(default=0, ge=0, description="how often it was escalated")
    escalates_at: AwareDatetime | None = None
    acknowledged_by: str | None = None
    acknowledged_until: AwareDatetime | None = None
    silenced_until: AwareDatetime | None = None
    deliveries: tuple[Delivery, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    recovers_at: AwareDatetime | None = None
    recovery_failed: bool = Field(default=False, description="people were told that what can be tried did not help")
    seen_events: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state is not AlertState.RESOLVED

    @property
    def open_members(self) -> tuple[Member, ...]:
        """What of it is still so."""
        return tuple(each for each in self.members if each.is_open)

    @property
    def lead(self) -> Member:
        """What it is named after: the worst of what is still so, and of these the first that was seen."""
        shown = self.open_members or self.members
        return min(shown, key=lambda each: (-rank(each.severity), each.first_at, each.key))

    @property
    def last_seen_at(self) -> datetime:
        """When something of it was seen last."""
        return max((each.last_at for each in self.members), default=self.opened_at)

    @property
    def occurrence(self) -> str:
        """This occurrence of this alert, for those outside who have to know it again."""
        return f"{self.alert_id}-{int(self.opened_at.timestamp() * 1000)}"

    def find_member(self, key: str) -> Member | None:
        """What was seen under this key."""
        return next((each for each in self.members if each.key == key), None)

    def change(self, **fields: Any) -> "AlertRecord":
        """The same with other fields."""
        return self.model_copy(update=fields)


class AlertStore(Protocol):
    """Where alerts, silences, and events that nobody understood are kept."""

    def find(self, alert_id: str) -> AlertRecord | None:
        """An alert, as it is at this moment."""

    def save(self, record: AlertRecord, *, due_at: datetime | None, expires_at: datetime | None) -> AlertRecord | None:
        """Write the record as the revision after its own; None when that revision was not the last any more.

        Args:
            due_at: when the clock has something to do with it; None: never.
            expires_at: when it may be forgotten.
        """

    def list_open(self) -> Sequence[AlertRecord]:
        """Every alert that is not resolved."""

    def list_due(self, *, at: datetime, limit: int) -> Sequence[str]:
        """The ids of alerts that the clock has something to do with, the longest overdue first."""

    def list_silences(self, *, at: datetime) -> Sequence[Silence]:
        """The silences that have not ended."""

    def add_silence(self, silence: Silence) -> None:
        """Keep a silence until it ends."""

    def end_silence(self, silence_id: str) -> None:
        """Forget a silence."""

    def keep_unknown(self, event_id: str, *, shape: str, body: str, at: datetime, expires_at: datetime) -> None:
        """Keep an event that nobody understood. The same again changes nothing."""
