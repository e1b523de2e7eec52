"""An alert: something that a person must know of, and what to do about it.

Functions raise alerts as events on the bus of the environment; a rule there tells the administrators.
"""

from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class AlertSeverity(StrEnum):
    """How soon somebody has to look."""

    CRITICAL = "critical"
    HIGH = "high"
    WARNING = "warning"


class Alert(BaseModel):
    """One alert. `code` names its cause for scripts and runbooks; `key` is the same for the same cause again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)
    key: str = Field(min_length=1, max_length=256)
    severity: AlertSeverity
    summary: str = Field(min_length=1, max_length=1024)
    remedy: str = Field(min_length=1, max_length=1024, description="what to do, or the runbook that says it")
    raised_at: AwareDatetime
    correlation_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    details: dict[str, Annotated[str, Field(max_length=2048)]] = Field(default_factory=dict, max_length=32)


class Alerts(Protocol):
    """Where alerts are raised."""

    def raise_alert(self, alert: Alert) -> None:
        """Hand the alert over durably.

        Raises:
            CloudError: it could not be handed over; the caller fails, and is run again.
        """
