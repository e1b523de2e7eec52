"""Channels that cannot be read now are not gone: what is due over them stays due."""

import json
from datetime import timedelta

import pytest

from functions.process_alerts.reading_channels import CHANNELS_LAST_SECONDS, ChannelReader
from functions.process_alerts.sending import ChannelSender
from pqtransfer.aws.failures import CloudAccessDeniedError, CloudNotFoundError, CloudUnavailableError
from pqtransfer.aws.topics import AlertTopic
from pqtransfer.aws.webhooks import WebhookClient
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.channels import AddressRules
from pqtransfer.operations.deliveries import Delivery, PageKind
from tests.unit.operations.alert_samples import NOW

DOCUMENT = json.dumps({"channels": [{"name": "oncall", "kind": "pagerduty", "routing_key": "r-1"}]})
FAILURES = [
    CloudUnavailableError("throttled", aws_code="ThrottlingException"),
    CloudAccessDeniedError("refused", aws_code="AccessDenied"),
]
GONE = CloudNotFoundError("no such secret", aws_code="ResourceNotFoundException")


class Secret:
    """The document, or what asking for it raises; and a clock."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer, self.at, self.asked = answer, 0.0, 0
        self.reader = ChannelReader(self.fetch, monotonic=lambda: self.at)

    def fetch(self) -> str:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def names(self) -> list[str] | None:
        self.at += CHANNELS_LAST_SECONDS
        found = self.reader.read()
        return None if found is None else [each.channel for each in found]


@pytest.mark.parametrize("failure", FAILURES)
def test_what_was_read_last_counts_while_it_cannot_be_read(failure: Exception) -> None:
    """However often it fails; and then what stands there."""
    secret = Secret(DOCUMENT)
    assert secret.names() == ["oncall"]
    secret.answer = failure
    assert secret.names() == secret.names() == ["oncall"]
    secret.answer = json.dumps({"channels": []})
    assert secret.names() == []


@pytest.mark.parametrize("gone", [GONE, "no json", "[]"])
def test_what_is_no_document_has_no_channels(gone: str | Exception) -> None:
    """Somebody took it away: mail is what is left."""
    secret = Secret(DOCUMENT)
    assert secret.names() == ["oncall"]
    secret.answer = gone
    assert secret.names() == []


def test_it_is_read_once_in_a_while() -> None:
    """Not for every event."""
    secret = Secret(DOCUMENT)
    assert [len(secret.reader.read() or ()) for _ in range(3)] == [1, 1, 1]
    assert secret.asked == 1


@pytest.mark.parametrize(("answer", "is_final"), [(FAILURES[0], False), (GONE, True)])
def test_what_is_due_stays_due_while_nobody_knows_the_channels(answer: Exception, is_final: bool) -> None:
    """It is given up only where it is known that the channel is gone."""
    found = Secret(answer).reader.read()
    sender = ChannelSender(
        environment="dev",
        topic=AlertTopic(None, topic_arn="arn:topic"),  # type: ignore[arg-type] - nothing is sent there
        webhooks=WebhookClient(AddressRules(hosts=frozenset())),
        channels=None if found is None else {each.channel: each for each in found},
    )
    delivery = Delivery(number=1, kind=PageKind.RAISED, channel="oncall", decided_at=NOW, due_at=NOW)
    record = AlertRecord(alert_id="0" * 20, cause="c", opened_at=NOW, changed_at=NOW)
    sent = sender.send(record, delivery)
    assert sent.error is not None
    assert sent.is_final == is_final
    assert (delivery.postpone(at=NOW + timedelta(seconds=1), error=sent.error, retry_after=None)) is not None
