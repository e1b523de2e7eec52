"""Alerts in memory."""

from pqtransfer.operations.alerts import Alert


class InMemoryAlerts:
    """`Alerts` that keeps what was raised. `failure`, when set, is raised instead."""

    def __init__(self) -> None:
        self.raised: list[Alert] = []
        self.failure: Exception | None = None

    def raise_alert(self, alert: Alert) -> None:
        if self.failure is not None:
            raise self.failure
        self.raised.append(alert)

    @property
    def codes(self) -> list[str]:
        """The codes of what was raised, in order."""
        return [alert.code for alert in self.raised]
