"""Audit events as CEF, version 0 (ArcSight Common Event Format), for a SIEM that does not read OCSF: one line an event.

A line is `CEF:0|vendor|product|version|action|name|severity|name=value name=value ...`. In the head a bar and a
backslash get a backslash before them; in a value an equals sign and a backslash do, and line ends are written `\\n` and
`\\r`.
Names are those of the CEF dictionary. CEF bounds its fields: longer text is cut off and ends in `...`; the OCSF export
has everything. A control character or a Unicode line end, which CEF cannot carry, becomes U+FFFD.
"""

import json
import re
from ipaddress import IPv6Address, ip_address

from pqtransfer.audit.events import AuditEvent, Severity
from pqtransfer.audit.ocsf import PRODUCT

CEF_EVENT_VERSION = "1"
SEVERITY = {
    Severity.INFORMATIONAL: 0,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
"""CEF counts 0 to 3 as low, to 6 as medium, to 8 as high, to 10 as very high."""
TEXT_AT_MOST = 1023
CUSTOM_TEXT_AT_MOST = 4000
_CUT = "..."
_NOT_CARRIED = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


def write_cef(event: AuditEvent, *, index: int | None = None) -> str:
    """The line of an event, without a line end. `index`: its number in the log."""
    head = (
        "CEF:0",
        PRODUCT["vendor_name"],
        PRODUCT["name"],
        CEF_EVENT_VERSION,
        event.action,
        _name(event),
        str(SEVERITY[event.severity]),
    )
    pairs = [f"{name}={_escape_value(value)}" for name, value in _list_fields(event, index)]
    return "|".join([*map(_escape_head, head), " ".join(pairs)])


def _list_fields(event: AuditEvent, index: int | None) -> list[tuple[str, str]]:
    fields = [
        ("rt", str(event.time_ms)),
        ("cat", str(event.kind)),
        ("act", event.action),
        ("outcome", "success" if event.succeeded else "failure"),
        ("externalId", event.event_id),
        ("suser", _cut(event.actor, TEXT_AT_MOST)),
        *_list_address(event.source_address),
    ]
    if event.reason is not None:
        fields.append(("reason", _cut(event.reason, TEXT_AT_MOST)))
    is_file = event.sha256 is not None or event.size_bytes is not None
    fields.append(("fname" if is_file else "duid", _cut(event.target.id, TEXT_AT_MOST)))
    if event.size_bytes is not None:
        fields.append(("fsize", str(event.size_bytes)))
    if event.sha256 is not None:
        fields.append(("fileHash", event.sha256))
    custom = [
        ("targetType", event.target.type),
        ("keyId", event.key_id),
        ("suite", event.suite),
        ("correlationId", event.correlation_id),
        ("producer", event.producer),
        ("details", json.dumps(event.details, ensure_ascii=False, sort_keys=True) if event.details else None),
    ]
    for number, (label, value) in enumerate(custom, start=1):
        if value is not None:
            fields += [(f"cs{number}Label", label), (f"cs{number}", _cut(value, CUSTOM_TEXT_AT_MOST))]
    fields += [("cn1Label", "sequence"), ("cn1", str(event.sequence))]
    if index is not None:
        fields += [("cn2Label", "logIndex"), ("cn2", str(index))]
    return fields


def _list_address(address: str | None) -> list[tuple[str, str]]:
    """`src` takes IPv4 only; IPv6 has a custom field."""
    if address is None:
        return []
    if isinstance(ip_address(address), IPv6Address):
        return [("c6a2Label", "Source IPv6 Address"), ("c6a2", address)]
    return [("src", address)]


def _name(event: AuditEvent) -> str:
    verb = "" if event.succeeded else " failed"
    return f"{event.action.replace('.', ' ').replace('-', ' ')}{verb}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def _escape_head(text: str) -> str:
    clean = _NOT_CARRIED.sub("\ufffd", text)
    return clean.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _escape_value(text: str) -> str:
    clean = _NOT_CARRIED.sub("\ufffd", text)
    return clean.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")
