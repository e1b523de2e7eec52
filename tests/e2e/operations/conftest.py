"""Alert processing of the deployed cloud, with webhooks that lead to a server of this machine."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.alerts import Alert, AlertSeverity
from pqtransfer.operations.signals import name_alert
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession
from tests.e2e.conftest import ActAs
from tests.e2e.told_alerts import ToldAlerts, is_told
from tests.fakes.webhook_server import WebhookServer

PATIENCE_SECONDS = 150.0
"""Also for one more try of a delivery, which comes with the clock."""
POLL_SECONDS = 0.1
SECRET = "a secret of this test, long enough to sign with"
CHANNELS_ID = "pqtransfer/local/alerts/channels"

T = TypeVar("T")


class Desk:
    """Where alerts are raised and looked at, with the owner's rights."""

    def __init__(self, owner: CloudSession, deployment: Deployment, server: WebhookServer) -> None:
        self.deployment = deployment
        self.server = server
        self.told = ToldAlerts(owner, deployment)
        self.store = self.told.store
        self._events = owner.client("events")
        self._sqs = owner.client("sqs")
        self._lambda = owner.client("lambda")
        self._secrets = owner.client("secretsmanager")

    def configure(self) -> None:
        """The channels, until the function has read them."""
        channels = [
            {"name": "team", "kind": "slack", "url": f"{self.server.url}/slack"},
            {"name": "siem", "kind": "webhook", "url": f"{self.server.url}/siem", "secret": SECRET},
        ]
        self._secrets.put_secret_value(SecretId=CHANNELS_ID, SecretString=json.dumps({"channels": channels}))
        wait_for("channel that counts", lambda: self._reaches_webhook() or None)

    def reset(self) -> None:
        self._secrets.put_secret_value(SecretId=CHANNELS_ID, SecretString='{"channels": []}')
        wait_for("end of the channels", lambda: not self._reaches_webhook() or None)

    def _reaches_webhook(self) -> bool:
        """Whether an alert of now goes there."""
        alert = self.raise_alert()
        self.wait_for_alert(f"alert:{alert.key}", lambda record: is_told(record) and not record.deliveries)
        return any(alert.key in request.body.decode() for request in self.server.find("/siem"))

    def raise_alert(self, *, key: str | None = None, severity: AlertSeverity = AlertSeverity.HIGH) -> Alert:
        """Put an alert on the bus, as a function does."""
        alert = Alert(
            code="key-drill-failed",
            key=key or f"e2e-{uuid4()}",
            severity=severity,
            summary="a drill of this test failed",
            remedy="follow docs/runbooks/key-drill-failed.md",
            raised_at=datetime.now(UTC),
            correlation_id="e2e-operations",
        )
        self.put("AlertRaised", alert.model_dump_json())
        return alert

    def put(self, detail_type: str, detail: str) -> None:
        entry = {
            "EventBusName": self.deployment.event_bus,
            "Source": "pqtransfer",
            "DetailType": detail_type,
            "Detail": detail,
        }
        answer = self._events.put_events(Entries=[entry])
        assert not answer["FailedEntryCount"], answer

    def send(self, event: dict[str, Any]) -> None:
        """Hand an event over as a rule of the default bus does: nobody but AWS may put events of AWS there."""
        self._sqs.send_message(QueueUrl=self.deployment.alert_events_queue_url, MessageBody=json.dumps(event))

    def order(self, **document: Any) -> dict[str, Any]:
        """Invoke the function."""
        answer = self._lambda.invoke(
            FunctionName=self.deployment.functions.process_alerts, Payload=json.dumps(document).encode()
        )
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def wait_for_alert(self, cause: str, matches: Callable[[AlertRecord], bool]) -> AlertRecord:
        """Wait until the alert of a cause is as it should be."""

        def look() -> AlertRecord | None:
            record = self.store.find(name_alert(cause))
            return record if record is not None and matches(record) else None

        return wait_for(f"such an alert of {cause}", look)


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something to see; fail the test when there is not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := look()) is None:
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    return seen


@pytest.fixture(scope="module")
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as started:
        yield started


@pytest.fixture(scope="module")
def desk(act_as: ActAs, deployment: Deployment, server: WebhookServer) -> Iterator[Desk]:
    """Alert processing with a Slack and a generic webhook on this machine."""
    made = Desk(act_as(None), deployment, server)
    made.configure()
    yield made
    made.reset()
    made.told.end_all()
