"""Audit events of producers against the schema of OCSF itself."""

from collections.abc import Iterable
from typing import Any

from pqtransfer.audit.events import AuditEvent
from tests.unit.audit.ocsf_schema import require_ocsf


def require_all_ocsf(events: Iterable[AuditEvent]) -> list[dict[str, Any]]:
    """The documents of some events, at least one; the schema takes each, and each is read back as it was written."""
    documents = []
    for event in events:
        documents.append(require_ocsf(event.to_json()))
        assert AuditEvent.from_json(event.to_json()) == event
    assert documents
    return documents
