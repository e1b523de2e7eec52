"""The second half of the demo: a key changes while a transfer runs, a key is lost, and the log of it all is checked.

The worker is held (SIGSTOP) while the key changes, so that the transfer is under way at that moment on any machine.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pqtransfer.errors import UnavailableError
from pqtransfer.operations.events import ALERT_RAISED
from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession
from scripts.terminal import Terminal
from scripts.worker_process import WorkerProcess

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.1
INBOX = "demo-administrators"

T = TypeVar("T")


class NothingHappenedError(UnavailableError):
    """What the demo waited for did not come."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(f"no {what} within {PATIENCE_SECONDS:.0f} s; see {log}")


@dataclass(frozen=True)
class TrustDemonstration:
    """What happens in the deployed cloud. `send` gives the arguments and settings that send the model once more."""

    terminal: Terminal
    deployment: Deployment
    worker: WorkerProcess
    files: Path
    recipient: str

    def rotate_during_transfer(self, *send: str, variables: Mapping[str, str]) -> str:
        """Rotate the recipient's keys while a transfer to it is under way; return the transfer's id."""
        print(f"\nThe keys of {self.recipient} change while a transfer to it is under way")
        sending = self.terminal.start("pqtransfer", "send", *send, role="submitter", variables=variables)
        wait_for("transfer under way", lambda: self.worker.read_health().get("transfer_id"), log=self.worker.log)
        self.worker.pause()
        try:
            self.terminal.run("pqtransfer", "keys", "rotate", self.recipient, role="operator")
        finally:
            self.worker.resume()
        transfer_id: str = sending.finish()["transfer_id"]
        self.terminal.run("pqtransfer", "keys", "list", self.recipient, role="operator")
        return transfer_id

    def report_compromise(self) -> str:
        """Report the recipient's keys as lost, and watch what is done about it; return the incident's id."""
        print(f"\nThe keys of {self.recipient} are lost: revoked at once, then made anew, and its models seen to")
        inbox = self.open_inbox()
        reported = self.terminal.run(
            "pqtransfer", "keys", "report-compromise", self.recipient, "--reason", "a laptop was stolen",
            role="operator",
        )  # fmt: skip
        incident_id: str = reported["incident_id"]
        self.terminal.run("pqtransfer", "keys", "incident", incident_id, "--watch", role="operator")
        print("\nWhat the administrators were told (the topic of alerts; mail goes to admin_emails)")
        for alert in inbox.read_alerts(log=self.terminal.cloud.log_file):
            print(f"  {alert['severity']:<9} {alert['code']}: {alert['summary']}")
            print(f"            {alert['remedy']}")
        return incident_id

    def open_inbox(self) -> "Inbox":
        """A queue that is told of alerts, as an administrator's mailbox would be."""
        session, topic_arn = self.terminal.cloud.session(), self.deployment.alerts_topic_arn
        queue_arn = f"arn:aws:sqs:{self.deployment.region}:{self.deployment.account_id}:{INBOX}"
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        created = session.client("sqs").create_queue(QueueName=INBOX, Attributes={"Policy": policy})
        queue_url: str = created["QueueUrl"]
        session.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn)
        return Inbox(session, queue_url)

    def verify_offline(self) -> None:
        """Copy the log and its public keys, and check them without the cloud.

        Raises:
            CommandError: the log is not intact, or not complete.
        """
        print("\nThe audit log, copied and checked offline: no account, no network, only files and public keys")
        log, keys = self.files / "audit-log", self.files / "audit-keys.json"
        self.terminal.run("pqtransfer", "audit", "keys", "--out", str(keys), role="operator")
        self.terminal.run("pqtransfer", "audit", "fetch", str(log), "--keys", str(keys), role="operator")
        self.terminal.run_offline("pqtransfer", "audit", "verify", "--from", str(log), "--keys", str(keys))


@dataclass(frozen=True)
class Inbox:
    """A queue behind the topic of alerts."""

    session: CloudSession
    queue_url: str

    def read_alerts(self, *, log: Path) -> list[dict[str, Any]]:
        """Wait for the first alert; return those that are there then."""
        return wait_for("alert", self._receive, log=log)

    def _receive(self) -> list[dict[str, Any]]:
        messages = self.session.client("sqs").receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        bodies = [json.loads(message["Body"]) for message in messages.get("Messages", [])]
        told = [json.loads(body["Message"]) for body in bodies]
        return [each["detail"] for each in told if each.get("detail-type") == ALERT_RAISED]


def wait_for(what: str, look: Callable[[], T], *, log: Path) -> T:
    """Look until there is something.

    Raises:
        NothingHappenedError: there was nothing for too long.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        if time.monotonic() >= deadline:
            raise NothingHappenedError(what, log)
        time.sleep(POLL_SECONDS)
    return seen
