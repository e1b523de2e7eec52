"""Signals and routes for tests of alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.deliveries import ChannelKind, Route
from pqtransfer.operations.signals import Phase, Signal

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EMAIL = Route(channel="email", kind=ChannelKind.EMAIL)
ONCALL = Route(channel="oncall", kind=ChannelKind.PAGERDUTY, minimum_severity=AlertSeverity.HIGH)
MANAGER = Route(channel="manager", kind=ChannelKind.SLACK, from_level=2)
ROUTES = (EMAIL, ONCALL, MANAGER)


def after(**time: float) -> datetime:
    return NOW + timedelta(**time)


def make_signal(key: str = "k", *, cause: str = "c", at: datetime = NOW, **fields: Any) -> Signal:
    known: dict[str, Any] = {
        "code": "function-failing",
        "severity": AlertSeverity.HIGH,
        "summary": f"{key} fails",
        "remedy": "follow docs/runbooks/function-failing.md",
        "correlation_id": "c-1",
        "event_id": f"{key}-{at.isoformat()}-{fields.get('phase', Phase.RAISED)}",
        "ends_by_event": True,
    }
    return Signal(key=key, cause=cause, at=at, **{**known, **fields})


def cleared(key: str = "k", **fields: Any) -> Signal:
    return make_signal(key, phase=Phase.CLEARED, **fields)
