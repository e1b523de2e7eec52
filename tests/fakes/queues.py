"""The transfer queue in memory: visibility, receipts that go stale, a dead-letter queue."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pqtransfer.aws.queue import QueueMessage
from pqtransfer.errors import PqtransferError
from pqtransfer.transfers.ledger import Failure


@dataclass
class _Waiting:
    body: str
    message_id: str
    visible_at: float = 0.0
    receipt: str = ""


@dataclass
class InMemoryQueue:
    """As `pqtransfer.aws.queue.TransferQueue`. `held` are the visibility times that were asked for, in order."""

    monotonic: Callable[[], float]
    messages: list[_Waiting] = field(default_factory=list)
    dead: list[tuple[str, Failure]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    outage: PqtransferError | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, body: str) -> None:
        self.messages.append(_Waiting(body, f"message-{next(self._numbers)}"))

    def receive(self, *, visibility_seconds: int, wait_seconds: int) -> Iterator[QueueMessage]:  # noqa: ARG002
        if self.outage is not None:
            raise self.outage
        for waiting in self.messages:
            if waiting.visible_at <= self.monotonic():
                waiting.visible_at = self.monotonic() + visibility_seconds
                waiting.receipt = f"receipt-{next(self._numbers)}"
                yield QueueMessage(waiting.message_id, waiting.receipt, waiting.body)
                return

    def keep_invisible(self, message: QueueMessage, *, visibility_seconds: int) -> None:
        if self.outage is not None:
            raise self.outage
        self.held.append(visibility_seconds)
        for waiting in self._find(message):
            waiting.visible_at = self.monotonic() + visibility_seconds

    def delete(self, message: QueueMessage) -> None:
        for waiting in self._find(message):
            self.messages.remove(waiting)

    def reject(self, message: QueueMessage, failure: Failure) -> None:
        self.dead.append((message.body, failure))
        self.delete(message)

    @property
    def seconds_until_visible(self) -> list[float]:
        """For each message, how long until another worker may receive it."""
        return [max(0.0, waiting.visible_at - self.monotonic()) for waiting in self.messages]

    def _find(self, message: QueueMessage) -> list[_Waiting]:
        return [waiting for waiting in self.messages if waiting.receipt == message.receipt]
