"""The port that everything worth proving goes through: who did what, on what, with which key, and how it ended.

A producer says what happened; the trail adds who says it, the number, the id and the time, and makes the event durable
before `record` returns. So work that is acknowledged afterwards is never without its event.
"""

from typing import Protocol

from pqtransfer.audit.events import AuditFacts
from pqtransfer.errors import UnavailableError


class AuditUnavailableError(UnavailableError):
    """An event could be made durable nowhere: the work that it is about must not be acknowledged."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the audit log takes no event ({reason}); nothing was acknowledged, so try again")


class AuditTrail(Protocol):
    """Where a producer records what happened."""

    def record(self, *facts: AuditFacts) -> None:
        """Make events durable, in their order. Nothing they are about may be acknowledged before this returns.

        Raises:
            AuditUnavailableError: neither the queue nor a spool took them.
            EventTooLargeError: an event has more than 32 KiB.
        """
