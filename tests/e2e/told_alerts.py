"""What alert processing has told the administrators of the deployed cloud; and an end of it, so that tests stay apart.

The same alert again tells nobody while it is open. A test that needs to see it told ends what is open first.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pqtransfer.aws.alert_store import DynamoAlertStore
from pqtransfer.operations.alert_records import AlertRecord, Member
from pqtransfer.operations.alerting import AlertRules
from pqtransfer.operations.channels import EMAIL_CHANNEL
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession

TRIES = 50


class ToldAlerts:
    """The alerts of a deployment, with its owner's rights."""

    def __init__(self, owner: CloudSession, deployment: Deployment) -> None:
        self.store = DynamoAlertStore(owner.resource("dynamodb").Table(deployment.alerts_table))

    def find_told(self, code: str, *, since: datetime, **details: str) -> dict[str, Any] | None:
        """An alert with these details that was seen since then, of which the topic has taken the page; its fields."""
        for record, member in self._members():
            is_meant = member.code == code and details.items() <= {"finding": "", **member.details}.items()
            if is_meant and member.last_at >= since and is_told(record):
                return {"code": code, "key": member.key, "severity": member.severity, "details": dict(member.details)}
        return None

    def end_all(self, *, code: str | None = None) -> None:
        """Say of every open alert, or of those with this code, that it is over; tell nobody."""
        for record in self.store.list_open():
            if code is None or any(each.code == code for each in record.open_members):
                self._end(record.alert_id)

    def _members(self) -> Iterator[tuple[AlertRecord, Member]]:
        for record in self.store.list_open():
            yield from ((record, member) for member in record.open_members)

    def _end(self, alert_id: str) -> None:
        for _ in range(TRIES):
            record = self.store.find(alert_id)
            if record is None or not record.is_open:
                return
            rules = AlertRules(now=datetime.now(UTC), routes=())
            ended = rules.resolve(record, by="e2e").record.change(deliveries=())
            if self.store.save(ended, due_at=None, expires_at=rules.find_expiry(ended)) is not None:
                return
        raise AssertionError(f"alert {alert_id} changes all the time")


def is_told(record: AlertRecord) -> bool:
    """Whether a page of this occurrence went out by the topic."""
    return record.paged_at is not None and all(each.channel != EMAIL_CHANNEL for each in record.deliveries)
