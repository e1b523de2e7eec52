"""Audit events to log: one of each kind, and as many as wanted of one producer."""

from pqtransfer.audit.events import AuditEvent, EventKind, Severity, Target

KEY_ID = "ab" * 32
TIME_MS = 1_780_000_000_000
SAMPLES = {
    EventKind.CRYPTOGRAPHY: {"action": "envelope.wrap", "target": Target(type="transfer", id="t-1")},
    EventKind.KEY: {"action": "key.retire", "target": Target(type="key", id=KEY_ID)},
    EventKind.TRANSFER: {
        "action": "transfer.send",
        "target": Target(type="transfer", id="model.safetensors"),
        "size_bytes": 20_000_000_000,
        "sha256": "cd" * 32,
    },
    EventKind.ACCESS: {"action": "envelope.open", "target": Target(type="transfer", id="t-1")},
    EventKind.CONFIGURATION: {"action": "policy.update", "target": Target(type="policy", id="rotation")},
    EventKind.ADMINISTRATION: {"action": "report.create", "target": Target(type="report", id="2026-03")},
    EventKind.SECURITY: {"action": "audit.tamper", "target": Target(type="log", id="audit")},
}


def make_event(
    kind: EventKind = EventKind.KEY, *, sequence: int = 1, producer: str = "worker/a", **changes: object
) -> AuditEvent:
    """A valid event; whatever is given replaces what it has."""
    fields: dict[str, object] = {
        "kind": kind,
        "producer": producer,
        "sequence": sequence,
        "event_id": f"0198c0de-0000-7000-8000-{sequence:012x}",
        "time_ms": TIME_MS + sequence,
        "actor": "hospital-a",
        "succeeded": True,
        "correlation_id": "round-7",
        "key_id": KEY_ID,
        "suite": "PQT-1",
        "source_address": "192.0.2.7",
        "details": {"recipients": "hospital-b hospital-c"},
    }
    return AuditEvent.model_validate(fields | SAMPLES[kind] | changes)


def make_full_event(kind: EventKind) -> AuditEvent:
    """Every optional field is there, and the text is hard to carry."""
    text = 'quotes " and \\ and "metadata":{"sequence":1} and \n \u20ac \U0001f511'
    return make_event(
        kind, succeeded=False, severity=Severity.CRITICAL, reason=text, actor=text, details={"metadata": text, "z9": ""}
    )
