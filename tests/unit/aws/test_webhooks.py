"""Webhooks: what is posted, where nothing is ever posted, and what an answer means."""

import hashlib
import hmac
import socket
from datetime import UTC, datetime, timedelta

import pytest

from pqtransfer.aws.webhooks import WebhookClient, find_private_address, judge, read_retry_after, sign_webhook
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.operations.channels import AddressRules
from tests.fakes.webhook_server import Answer, WebhookServer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOCAL = AddressRules(hosts=frozenset(), allows_loopback=True)
CLOUD = AddressRules(hosts=frozenset({"hooks.slack.com"}))


def test_a_document_is_posted() -> None:
    """As JSON, with the headers that were given."""
    with WebhookServer() as server:
        sent = WebhookClient(LOCAL).post(f"{server.url}/a", {"x": 1}, headers={"Pqtransfer-Delivery": "d-1"})
        (request,) = server.find("/a")
    assert sent.error is None
    assert (request.document, request.headers["Pqtransfer-Delivery"]) == ({"x": 1}, "d-1")
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "is_final", "retry_after"),
    [
        (Answer(500), False, None),
        (Answer(503, (("Retry-After", "120"),)), False, timedelta(seconds=120)),
        (Answer(429, (("Retry-After", "7"),)), False, timedelta(seconds=7)),
        (Answer(404), True, None),
        (Answer(302, (("Location", "http://127.0.0.1:1/"),)), True, None),
        (Answer(0), False, None),
    ],
)
def test_an_answer_that_is_none(answer: Answer, is_final: bool, retry_after: timedelta | None) -> None:
    """Some are tried again; a redirect is not followed, and nothing of the answer is shown."""
    with WebhookServer() as server:
        server.answer(answer)
        sent = WebhookClient(LOCAL).post(f"{server.url}/a", {})
        assert len(server.received) == 1
    assert sent.error is not None
    assert (sent.is_final, sent.retry_after) == (is_final, retry_after)


def test_nobody_there_is_tried_again() -> None:
    """A server that is down comes back."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        sent = WebhookClient(LOCAL).post(f"http://127.0.0.1:{unused.getsockname()[1]}/", {})
    assert sent.error is not None
    assert not sent.is_final


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.slack.com/x",
        "https://hooks.slack.com:8443/x",
        "https://evil.example.org/x",
        "https://hooks.slack.com.evil.example.org/x",
        "https://hooks.slack.com@evil.example.org/x",
        "https://user:secret@hooks.slack.com/x",
        "http://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[fe80::1/x",
        "file:///etc/passwd",
        "//hooks.slack.com/x",
        "https://hooks.slack.com:notaport/x",
        "",
    ],
)
def test_nothing_is_sent_to_other_addresses(address: str) -> None:
    """Only https, on the hosts that are configured; the try is final."""
    sent = WebhookClient(CLOUD).post(address, {})
    assert sent.error is not None
    assert sent.is_final
    assert CLOUD.refuse("https://hooks.slack.com/services/x") is None


def test_loopback_is_for_the_embedded_cloud_alone() -> None:
    """There it is the only place that needs no list."""
    assert LOCAL.refuse("http://127.0.0.1:1/x") is None
    assert LOCAL.refuse("http://10.0.0.1/x") is not None
    assert LOCAL.refuse("https://hooks.slack.com/x") is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fd00::1]", "localhost"])
def test_a_name_that_leads_inside_is_refused(host: str) -> None:
    """Whoever controls a host of the list does not reach our own network by it."""
    assert find_private_address(f"https://{host}/x") is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", timedelta(seconds=5)),
        ("Sun, 01 Mar 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta()),
        ("99999999999999999999", timedelta(days=1)),
        ("-5", None),
        ("soon", None),
        ("٥", None),
        ("1" * 100, None),
        (None, None),
    ],
)
def test_when_to_come_back(text: str | None, says: timedelta | None) -> None:
    """Seconds or a date; what cannot be read says nothing."""
    assert read_retry_after(text, now=NOW) == says


def test_what_statuses_say() -> None:
    """Taken, later, never."""
    outcomes = {status: judge(status, None, now=NOW) for status in (200, 202, 204, 400, 401, 408, 410, 425, 429, 502)}
    assert [status for status, sent in outcomes.items() if sent.error is None] == [200, 202, 204]
    assert [status for status, sent in outcomes.items() if sent.is_final] == [400, 401, 410]


def test_a_signature_is_over_time_delivery_and_body() -> None:
    """As docs/spec/webhook.md says, so that nothing of it can be exchanged."""
    secret = SecretBytes(b"s" * 32)
    headers = sign_webhook(secret, delivery_id="d-1", body=b"{}", at=NOW)
    expected = hmac.new(b"s" * 32, b"v1:1772366400:d-1:{}", hashlib.sha256).hexdigest()
    assert headers == {
        "Pqtransfer-Timestamp": "1772366400",
        "Pqtransfer-Delivery": "d-1",
        "Pqtransfer-Signature": f"v1={expected}",
    }
