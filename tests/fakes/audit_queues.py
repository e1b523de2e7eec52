"""The audit queue in memory."""

from collections.abc import Sequence

from pqtransfer.audit.trail import AuditUnavailableError


class InMemoryEventSink:
    """`EventSink` that keeps what was sent. While `is_down`, it takes nothing; `loses_answer`: it takes, and fails."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_down = False
        self.loses_answer = False

    def send(self, entries: Sequence[bytes]) -> None:
        if self.is_down:
            raise AuditUnavailableError("the queue is down")
        self.sent += entries
        if self.loses_answer:
            raise AuditUnavailableError("the answer was lost")
