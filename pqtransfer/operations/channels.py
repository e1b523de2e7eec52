"""The channels beside mail: what is configured, and what a try to send ended in. The secrets stand in one document.

{"channels": [
  {"name": "oncall", "kind": "pagerduty", "routing_key": "...", "minimum_severity": "high"},
  {"name": "team", "kind": "slack", "url": "https://hooks.slack.com/services/..."},
  {"name": "siem", "kind": "webhook", "url": "https://siem.example.org/alerts", "secret": "at least 32 characters"}
]}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Protocol, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import InputError
from pqtransfer.operations.alert_records import AlertRecord
from pqtransfer.operations.deliveries import ChannelKind, Delivery, Route

DOCUMENT_LIMIT_BYTES = 64 * 1024
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
EMAIL_CHANNEL = "email"
SECRET_AT_LEAST = 32
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class InvalidChannelsError(InputError):
    """The document of the channels cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the channels of alerts cannot be used: {reason}; see docs/runbooks/notification-failed.md")


def _hide(value: object) -> object:
    return SecretBytes(value.encode()) if isinstance(value, str) else value


Secret = Annotated[SecretBytes, BeforeValidator(_hide)]


class Channel(Route):
    """One channel, with what it takes to send there. None of it is ever shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    channel: str = Field(alias="name", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    url: Secret | None = None
    routing_key: Secret | None = None
    secret: Secret | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind is ChannelKind.EMAIL or self.channel == EMAIL_CHANNEL:
            raise ValueError("mail is always there, by the topic of the administrators")
        if self.kind is ChannelKind.PAGERDUTY and self.routing_key is None:
            raise ValueError("PagerDuty needs a routing_key")
        if self.kind is not ChannelKind.PAGERDUTY and self.url is None:
            raise ValueError("it needs a url")
        if self.kind is ChannelKind.WEBHOOK and (self.secret is None or len(self.secret.reveal()) < SECRET_AT_LEAST):
            raise ValueError(f"a webhook needs a secret of at least {SECRET_AT_LEAST} characters")
        return self

    @property
    def address(self) -> str:
        """Where it is. A secret: who knows the address of a Slack webhook can write there."""
        return self.url.reveal().decode() if self.url else PAGERDUTY_URL


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[Channel, ...] = Field(default=(), max_length=16)


@dataclass(frozen=True)
class AddressRules:
    """Which addresses may be sent to: https, on these hosts; on the embedded cloud also http on this machine."""

    hosts: frozenset[str]
    allows_loopback: bool = False

    def refuse(self, address: str) -> str | None:
        """Why nothing is sent there; None when it may be."""
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return "its address is none"
        if parts.username is not None or parts.password is not None:
            return "its address has a user or a password in it"
        if self.allows_loopback and parts.scheme in ("http", "https") and host in LOOPBACK:
            return None
        if parts.scheme != "https":
            return "its address is not https"
        if port not in (None, 443):
            return "its address has another port than 443"
        if host not in self.hosts:
            return "its host is not among alert_webhook_hosts"
        return None


@dataclass(frozen=True)
class Sent:
    """How one try ended: taken, or why not, and after what time the channel wants to be asked again."""

    error: str | None = None
    retry_after: timedelta | None = None
    is_final: bool = False
    """No later try can end otherwise: the address is wrong, or what was sent is refused for what it is."""


class Sender(Protocol):
    """Sends a page over the channel of a delivery."""

    def send(self, record: AlertRecord, delivery: Delivery) -> Sent:
        """Send it. Raises nothing: what went wrong is the answer."""


def read_channels(text: str) -> Sequence[Channel]:
    """Read the document.

    Raises:
        InvalidChannelsError: it is not one. Says where, and never what stands there.
    """
    if len(text.encode("utf-8", "surrogatepass")) > DOCUMENT_LIMIT_BYTES:
        raise InvalidChannelsError(f"more than {DOCUMENT_LIMIT_BYTES} bytes")
    try:
        document = _Document.model_validate(json.loads(text))
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems[:5])
        raise InvalidChannelsError(told) from None
    except (ValueError, RecursionError):
        raise InvalidChannelsError("it is not JSON") from None
    names = [each.channel for each in document.channels]
    if len(set(names)) != len(names):
        raise InvalidChannelsError("two channels have one name")
    return document.channels
