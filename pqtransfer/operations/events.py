"""Read what comes over the buses: events of AWS and our own become signals; an unknown shape is said to be one.

Nothing that comes in may end the reading of what comes next: whatever is not understood is an `UnknownEvent`, which is
kept and counted. Shapes of AWS stand in `aws_events`, ours here.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pqtransfer.operations import aws_events
from pqtransfer.operations.alerts import Alert, AlertSeverity
from pqtransfer.operations.envelopes import EventEnvelope, UnreadableEventError
from pqtransfer.operations.signals import Signal, fit

EVENT_LIMIT_BYTES = 1 << 20
"""More than SQS and EventBridge carry."""
OUR_SOURCE = "pqtransfer"
AWS_SOURCE, EMBEDDED_SOURCE = "aws.", "embedded."
"""Nobody but AWS may say `aws.ecs`: on the embedded cloud the local fleet says `embedded.ecs`. Rules say what comes."""
ALERT_RAISED = "AlertRaised"
TRANSFER_STATE_CHANGED = "TransferStateChanged"
KEY_EXCHANGE_FAILED = "key-exchange-failed"
UNKNOWN_CODE = "event-unknown"
KEY_EXCHANGE_CODES = frozenset({"DamagedEnvelope", "DamagedKey", "StoredKeyMismatch", "Unseal", "WrongDataKey"})
"""Failures of a transfer that say: a data key could not be wrapped or unwrapped."""
SECURITY_CODES = frozenset(
    {
        "DamagedPart", "DamagedPayload", "DamagedSegment", "EpochExhausted", "ExposedKey", "InvalidProof",
        "InvalidSignature",
        "LiboqsDisagrees", "MalformedDocument", "NotARecipient", "RecordDamaged", "RegistryDamaged", "SourceDigest",
        "UntrustedRequest", "WrongSender", "WrongTransfer",
    }
)  # fmt: skip
"""Those that say: data is not what its author signed, or somebody tried what is not allowed."""


@dataclass(frozen=True)
class UnknownEvent:
    """An event that was not understood. `shape` groups those of one kind."""

    event_id: str
    shape: str
    reason: str
    body: str

    def to_signal(self, *, at: AwareDatetime) -> Signal:
        """What people are told: that there is something that nobody looks at."""
        return Signal(
            code=UNKNOWN_CODE,
            key=fit(f"{UNKNOWN_CODE}:{self.shape}", 256),
            cause=fit(f"{UNKNOWN_CODE}:{self.shape}", 256),
            severity=AlertSeverity.WARNING,
            summary=fit(f"events of an unknown shape come in: {self.shape} ({self.reason})", 1024),
            remedy="follow docs/runbooks/event-unknown.md",
            at=at,
            correlation_id=f"event-{hashlib.sha256(self.event_id.encode()).hexdigest()[:32]}",
            event_id=self.event_id,
            details={"shape": fit(self.shape, 256), "reason": fit(self.reason, 1024)},
        )


@dataclass(frozen=True)
class KnownEvent:
    """An event that was understood; it may mean nothing for alerts."""

    event_id: str
    signals: tuple[Signal, ...]


class _StateChange(BaseModel):
    """The detail of `TransferStateChanged`, as far as it matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    transfer_id: Annotated[str, Field(min_length=1, max_length=128)]
    state: Annotated[str, Field(min_length=1, max_length=32)]
    sender: str = "-"
    correlation_id: str | None = None
    reason: dict[str, str] | None = None
    at: AwareDatetime


def read_event(body: str) -> KnownEvent | UnknownEvent:
    """Read one event, as JSON text. Raises nothing: what cannot be read is an `UnknownEvent`."""
    try:
        document = _read_json(body)
        envelope = EventEnvelope.read(document)
        reader = _find_reader(envelope)
        if reader is None:
            return UnknownEvent(envelope.id, envelope.shape, "no reader knows it", body)
    except UnreadableEventError as error:
        digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
        return UnknownEvent(f"sha256-{digest}", "not an event", str(error), body)
    try:
        return KnownEvent(envelope.id, tuple(reader(envelope)))
    except ValidationError as error:
        places = sorted({".".join(map(str, each["loc"]))[:64] for each in error.errors(include_input=False)})
        return UnknownEvent(envelope.id, envelope.shape, f"other fields: {', '.join(places[:5])}", body)


def _read_json(body: str) -> Mapping[str, Any]:
    if len(body) > EVENT_LIMIT_BYTES:
        raise UnreadableEventError(f"more than {EVENT_LIMIT_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableEventError("not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableEventError("not a JSON object")
    return document


def _find_reader(envelope: EventEnvelope) -> Callable[[EventEnvelope], list[Signal]] | None:
    if envelope.source == OUR_SOURCE:
        return _OUR_READERS.get(envelope.detail_type)
    source = AWS_SOURCE + envelope.source.removeprefix(EMBEDDED_SOURCE).removeprefix(AWS_SOURCE)
    known = envelope.source.startswith((AWS_SOURCE, EMBEDDED_SOURCE))
    return aws_events.READERS.get((source, envelope.detail_type)) if known else None


def _read_alert(envelope: EventEnvelope) -> list[Signal]:
    """An alert of a function. Of a failed key exchange the audit log tells, and its transfer, too: one cause."""
    signal = Signal.of_alert(Alert.model_validate(envelope.detail), event_id=envelope.id)
    of_attempt = signal.details.get("correlation_id")
    if signal.code == KEY_EXCHANGE_FAILED and of_attempt:
        return [signal.model_copy(update={"cause": fit(f"{KEY_EXCHANGE_FAILED}:{of_attempt}", 256)})]
    return [signal]


def _read_state_change(envelope: EventEnvelope) -> list[Signal]:
    """A transfer that failed. Those that failed for one reason have one cause, but for failed key exchanges."""
    change = _StateChange.model_validate(envelope.detail)
    if change.state != "FAILED":
        return []
    error = (change.reason or {}).get("code", "") or "Unknown"
    message = (change.reason or {}).get("message", "")
    code, severity = _weigh_failure(error)
    correlation_id = envelope.correlate(change.correlation_id)
    of = correlation_id if code == KEY_EXCHANGE_FAILED else error
    return [
        Signal(
            code=code,
            key=fit(f"{code}:{of}", 256),
            cause=fit(f"{code}:{of}", 256),
            severity=severity,
            summary=fit(f"transfer {change.transfer_id} of {change.sender} failed: {error}: {message}", 1024),
            remedy=f"follow docs/runbooks/{code}.md",
            at=change.at,
            correlation_id=correlation_id,
            event_id=envelope.id,
            details={"transfer_id": change.transfer_id, "sender": fit(change.sender, 256), "error": fit(error, 256)},
        )
    ]


def _weigh_failure(error: str) -> tuple[str, AlertSeverity]:
    if error in KEY_EXCHANGE_CODES:
        return KEY_EXCHANGE_FAILED, AlertSeverity.HIGH
    if error in SECURITY_CODES:
        return "transfer-suspicious", AlertSeverity.HIGH
    return "transfer-failed", AlertSeverity.WARNING


_OUR_READERS: Mapping[str, Callable[[EventEnvelope], list[Signal]]] = {
    ALERT_RAISED: _read_alert,
    TRANSFER_STATE_CHANGED: _read_state_change,
}
