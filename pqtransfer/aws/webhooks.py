"""HTTP POST to webhooks: no redirects, no proxy, certificates checked, a bound on time and on what is read.

Hosts are those of an allow-list, and every address that their names have must be public: so no webhook reaches into the
network that the function runs in. A generic webhook is signed (docs/spec/webhook.md).
"""

import email.utils
import hashlib
import hmac
import json
import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import urllib3

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.operations.channels import AddressRules, Sent

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
ANSWER_LIMIT_BYTES = 2048
RETRIED_STATUSES = frozenset({408, 425, 429})
TIMESTAMP_HEADER = "Pqtransfer-Timestamp"
SIGNATURE_HEADER = "Pqtransfer-Signature"
DELIVERY_HEADER = "Pqtransfer-Delivery"


class WebhookClient:
    """Posts JSON documents to addresses that the rules allow."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._pool = urllib3.PoolManager(
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            cert_reqs="CERT_REQUIRED",
        )

    def post(self, address: str, document: dict[str, Any], *, headers: dict[str, str] | None = None) -> Sent:
        """Post a document. What comes back of the other side, other than its status, is not believed or shown."""
        return self.post_bytes(address, json.dumps(document).encode(), headers=headers)

    def post_bytes(self, address: str, body: bytes, *, headers: dict[str, str] | None = None) -> Sent:
        """Post a JSON document that is written down already."""
        refused = self._rules.refuse(address)
        if refused is None and not self._rules.allows_loopback:
            refused = find_private_address(address)
        if refused is not None:
            return Sent(error=refused, is_final=True)
        try:
            answer = self._pool.request(
                "POST",
                address,
                body=body,
                headers={"Content-Type": "application/json", "User-Agent": "pqtransfer", **(headers or {})},
                redirect=False,
                preload_content=False,
            )
            answer.read(ANSWER_LIMIT_BYTES)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            return Sent(error=f"it does not answer ({type(error).__name__})")
        return judge(answer.status, answer.headers.get("Retry-After"), now=datetime.now(UTC))


def judge(status: int, retry_after: str | None, *, now: datetime) -> Sent:
    """What a status says: taken, to be tried later, or never."""
    if 200 <= status < 300:
        return Sent()
    is_final = status < 500 and status not in RETRIED_STATUSES
    return Sent(
        error=f"it answers {status}",
        retry_after=None if is_final else read_retry_after(retry_after, now=now),
        is_final=is_final,
    )


def read_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); None when it says nothing that can be read."""
    if text is None or len(text) > 64:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return timedelta(seconds=min(int(text), 86_400))
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - now, timedelta())


def sign_webhook(secret: SecretBytes, *, delivery_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that prove who sent a body, and when: HMAC-SHA-256 over `v1:TIMESTAMP:DELIVERY:BODY`."""
    timestamp = str(int(at.timestamp()))
    signed = b":".join((b"v1", timestamp.encode(), delivery_id.encode(), body))
    digest = hmac.new(secret.reveal(), signed, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: timestamp, DELIVERY_HEADER: delivery_id, SIGNATURE_HEADER: f"v1={digest}"}


def find_private_address(address: str) -> str | None:
    """Why the host of an address must not be reached: one of its IP addresses is not public. None when all are."""
    host = urlsplit(address).hostname or ""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)}
    except OSError:
        return None  # what cannot be found cannot be reached: the try itself says so, and is made again
    if any(not ip_address(each.partition("%")[0]).is_global for each in found):
        return "its host has an address that is not public"
    return None
