"""From a cause to whoever has to know: an alert on the bus of the embedded cloud until a webhook has it.

Everything in between is what is deployed: the rule, the queue, the function with its table, its audit events and its
deliveries. The webhook is a server of this process.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from pqtransfer.errors import UnavailableError
from pqtransfer.operations.alerts import Alert, AlertSeverity
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud import EmbeddedCloud
from scripts.embedded_cloud.sessions import CloudSession

PATIENCE_SECONDS = 120.0
CHANNELS_ID = "pqtransfer/local/alerts/channels"
HOST = "127.0.0.1"


class AlertNotDeliveredError(UnavailableError):
    """The webhook was not told."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"no webhook within {PATIENCE_SECONDS:.0f} s; see {log}")


@dataclass(frozen=True)
class AlertTimes:
    """Seconds from the cause to the webhook, of each alert; the first one wakes the function and is not among them."""

    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)


class _Receiver:
    """Takes webhooks, and when they came."""

    def __init__(self) -> None:
        self._came: dict[str, float] = {}
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                receiver.take([each["key"] for each in document["members"]])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
                """Nothing is logged."""

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.server.daemon_threads = True

    def take(self, keys: list[str]) -> None:
        with self._changed:
            self._came |= {key: time.monotonic() for key in keys if key not in self._came}
            self._changed.notify_all()

    def wait_for(self, key: str, log: Path) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._came, PATIENCE_SECONDS):
                raise AlertNotDeliveredError(log)
            return self._came[key]


def measure_alerts(folder: Path, *, runs: int) -> AlertTimes:
    """Raise so many alerts, one after the other, each of a cause of its own."""
    receiver = _Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    try:
        with EmbeddedCloud(folder / "alerts") as cloud:
            deployment, owner = cloud.deploy(), cloud.session()
            _configure(owner, f"http://{HOST}:{receiver.server.server_address[1]}/")
            raise_alert = _make_raiser(owner, deployment)
            seconds = [_time_one(raise_alert, receiver, cloud.log_file) for _ in range(runs + 1)]
        return AlertTimes(tuple(seconds[1:]))
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def _configure(owner: CloudSession, url: str) -> None:
    channel = {"name": "bench", "kind": "webhook", "url": url, "secret": uuid4().hex}
    owner.client("secretsmanager").put_secret_value(
        SecretId=CHANNELS_ID, SecretString=json.dumps({"channels": [channel]})
    )


def _make_raiser(owner: CloudSession, deployment: Deployment) -> Callable[[str], None]:
    events = owner.client("events")

    def raise_alert(key: str) -> None:
        alert = Alert(
            code="key-drill-failed",
            key=key,
            severity=AlertSeverity.HIGH,
            summary="an alert of the benchmark",
            remedy="follow docs/runbooks/key-drill-failed.md",
            raised_at=datetime.now(UTC),
            correlation_id="bench",
        )
        entry = {
            "EventBusName": deployment.event_bus,
            "Source": "pqtransfer",
            "DetailType": "AlertRaised",
            "Detail": alert.model_dump_json(),
        }
        events.put_events(Entries=[entry])

    return raise_alert


def _time_one(raise_alert: Callable[[str], None], receiver: _Receiver, log: Path) -> float:
    key = f"bench-{uuid4()}"
    began = time.monotonic()
    raise_alert(key)
    return receiver.wait_for(key, log) - began
