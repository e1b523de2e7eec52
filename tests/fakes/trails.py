"""An audit trail in memory."""

from collections import Counter
from uuid import uuid4

from pqtransfer.audit.events import AuditEvent, AuditFacts

TIME_MS = 1_700_000_000_000


class InMemoryAuditTrail:
    """`AuditTrail` that keeps what was recorded, and refuses what could not be written to the log.

    `failure`, when set, is raised instead: a queue and a spool that take nothing.
    """

    def __init__(self) -> None:
        self.facts: list[AuditFacts] = []
        self.failure: Exception | None = None

    def record(self, *facts: AuditFacts) -> None:
        if self.failure is not None:
            raise self.failure
        for each in facts:
            number = len(self.facts) + 1
            said_by = {"producer": "test/1", "sequence": number, "event_id": str(uuid4()), "time_ms": TIME_MS}
            AuditEvent.model_validate({**each.model_dump(), **said_by}).to_json()
            self.facts.append(each)

    @property
    def actions(self) -> Counter[str]:
        """How often each action was recorded."""
        return Counter(each.action for each in self.facts)
