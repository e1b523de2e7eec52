"""Alerts as events on the EventBridge bus; a rule there tells the administrators."""

from pqtransfer.aws.events import EventBridgeBus
from pqtransfer.operations.alerts import Alert

ALERT_DETAIL_TYPE = "AlertRaised"


class EventBridgeAlerts:
    """`Alerts` on a bus."""

    def __init__(self, bus: EventBridgeBus) -> None:
        self._bus = bus

    def raise_alert(self, alert: Alert) -> None:
        self._bus.put(ALERT_DETAIL_TYPE, alert.model_dump_json(), at=alert.raised_at)
