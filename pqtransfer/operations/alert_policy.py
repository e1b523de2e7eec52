"""How alerts are handled: the times and limits, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from pqtransfer.operations.alerts import AlertSeverity

_ESCALATES_AFTER = MappingProxyType(
    {
        AlertSeverity.CRITICAL: timedelta(minutes=5),
        AlertSeverity.HIGH: timedelta(minutes=15),
        AlertSeverity.WARNING: timedelta(hours=8),
    }
)
_ACKNOWLEDGED_FOR = MappingProxyType(
    {
        AlertSeverity.CRITICAL: timedelta(hours=4),
        AlertSeverity.HIGH: timedelta(hours=12),
        AlertSeverity.WARNING: timedelta(days=3),
    }
)
_QUIET_RESOLVES = MappingProxyType(
    {AlertSeverity.HIGH: timedelta(hours=24), AlertSeverity.WARNING: timedelta(hours=2)},
)


@dataclass(frozen=True)
class AlertPolicy:
    """Times and limits. The defaults are for every environment."""

    correlates_within: timedelta = timedelta(minutes=10)
    """For so long after a page, more of the same cause pages nobody, unless it is worse."""
    escalates_after: Mapping[AlertSeverity, timedelta] = field(default_factory=lambda: _ESCALATES_AFTER)
    """When nobody acknowledges. Each further time takes twice as long as the one before."""
    escalates_within: timedelta = timedelta(hours=24)
    """The longest that an alert which nobody has acknowledged says nothing."""
    acknowledged_for: Mapping[AlertSeverity, timedelta] = field(default_factory=lambda: _ACKNOWLEDGED_FOR)
    """For so long an acknowledgement counts; then people are told that it is still so."""
    quiet_resolves: Mapping[AlertSeverity, timedelta] = field(default_factory=lambda: _QUIET_RESOLVES)
    """What nothing clears by an event is over when it has not been seen for so long. What is critical is not: somebody
    has to acknowledge it, and then the time of HIGH counts."""
    flaps_within: timedelta = timedelta(hours=1)
    flaps_at: int = 3
    """So many openings within that time are flapping: people are told once, and it is open until it is calm."""
    calm_after: timedelta = timedelta(minutes=30)
    kept_for: timedelta = timedelta(days=30)
    """How long a resolved alert can still be read."""
    silence_at_most: timedelta = timedelta(days=7)
    members_at_most: int = 20
    events_remembered: int = 50

    def escalation_delay(self, severity: AlertSeverity, level: int) -> timedelta:
        """How long until the next escalation, after `level` of them."""
        return min(self.escalates_after[severity] * (1 << min(level, 10)), self.escalates_within)

    def quiet_time(self, severity: AlertSeverity, *, acknowledged: bool) -> timedelta | None:
        """For how long it has to be quiet to be over; None: it is never over by that."""
        if severity is AlertSeverity.CRITICAL:
            return self.quiet_resolves[AlertSeverity.HIGH] if acknowledged else None
        return self.quiet_resolves[severity]
