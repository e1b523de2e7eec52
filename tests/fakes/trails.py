"""An audit trail in memory."""

import itertools
from collections import Counter
from uuid import uuid4

from pqtransfer.audit.events import AuditEvent, AuditFacts
from pqtransfer.audit.trail import AuditUnavailableError

TIME_MS = 1_700_000_000_000


class InMemoryAuditTrail:
    """`AuditTrail` that keeps what was recorded, and refuses what could not be written to the log.

    `failure`, when set, is raised instead: a queue and a spool that take nothing.
    """

    def __init__(self) -> None:
        self.facts: list[AuditFacts] = []
        self.events: list[AuditEvent] = []
        self.failure: Exception | None = None

    def record(self, *facts: AuditFacts) -> None:
        if self.failure is not None:
            raise self.failure
        for each in facts:
            number = len(self.facts) + 1
            said_by = {"producer": "test/1", "sequence": number, "event_id": str(uuid4()), "time_ms": TIME_MS}
            event = AuditEvent.model_validate({**each.model_dump(), **said_by})
            event.to_json()
            self.facts.append(each)
            self.events.append(event)

    @property
    def actions(self) -> Counter[str]:
        """How often each action was recorded."""
        return Counter(each.action for each in self.facts)

    def find(self, action: str) -> AuditFacts:
        """The one event of this action."""
        (found,) = [each for each in self.facts if each.action == action]
        return found


class FailingAuditTrail(InMemoryAuditTrail):
    """Refuses the calls of these numbers, counted from 1."""

    def __init__(self, *refused: int) -> None:
        super().__init__()
        self._refused = refused
        self._numbers = itertools.count(1)
        self.calls = 0

    def record(self, *facts: AuditFacts) -> None:
        self.calls = next(self._numbers)
        if self.calls in self._refused:
            raise AuditUnavailableError("the queue does not answer")
        super().record(*facts)
