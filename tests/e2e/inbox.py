"""The inbox of an administrator: a queue that is told of alarms as an address would be."""

import json
import time
from typing import Any

from pqtransfer.sdk.deployment import Deployment
from scripts.embedded_cloud.sessions import CloudSession

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.2


class Inbox:
    """What came is kept, so that the order in which it is looked for makes no difference."""

    def __init__(self, owner: CloudSession, deployment: Deployment, *, name: str) -> None:
        self._sqs = owner.client("sqs")
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        names = ["QueueArn"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        owner.client("sns").subscribe(TopicArn=deployment.alerts_topic_arn, Protocol="sqs", Endpoint=arn)
        self._came: list[dict[str, Any]] = []

    def forget(self) -> None:
        """What has come so far is not looked at again."""
        while self._look():
            self._came.clear()

    def wait_for_alarm(self, name: str, *, state: str = "ALARM") -> dict[str, Any]:
        """Wait until an alarm is told of."""
        what, fields = f"alarm {name}", {"AlarmName": name, "NewStateValue": state}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for message in self._look():
                if fields.items() <= {name: message.get(name) for name in fields}.items():
                    return message
            time.sleep(POLL_SECONDS)
            assert time.monotonic() < deadline, f"no {what} within {PATIENCE_SECONDS:.0f} s"

    def _look(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self._came.append(json.loads(json.loads(message["Body"])["Message"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._came
