"""What a decision is made from. None stands for what could not be learned, never for zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WaitingTransfer:
    """One transfer that waits for a worker. Its size and deadline are what its sender says, if it does."""

    submitted_at: datetime
    size_bytes: int | None = None
    deadline: datetime | None = None
    priority: int = 5


@dataclass(frozen=True)
class Observation:
    """The fleet and its work at one moment.

    Attributes:
        desired: what the service is asked for now; `running` and `pending` is what it has.
        messages_waiting, messages_in_flight: of the queue.
        oldest_waiting: some of those that have waited longest; when more wait, they stand for the others too.
        oldest_message_seconds: of the queue; None where it is not measured.
        protected: tasks that hold their protection; None where that cannot be asked.
        cpu_percent: the mean CPU of the service by the minute, oldest first.
        bytes_per_second: what one busy task moves in each direction.
    """

    at: datetime
    desired: int
    running: int
    pending: int
    messages_waiting: int | None
    messages_in_flight: int | None
    oldest_waiting: Sequence[WaitingTransfer] | None
    protected: int | None = None
    oldest_message_seconds: float | None = None
    cpu_percent: Sequence[float] | None = None
    bytes_per_second: float | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """What could not be learned. Workers that do not run have no CPU and no network."""
        found: dict[str, object] = {
            "messages waiting": self.messages_waiting,
            "messages in flight": self.messages_in_flight,
            "waiting transfers": self.oldest_waiting,
        }
        if self.running > 0:
            found |= {"CPU": self.cpu_percent or None, "network": self.bytes_per_second}
        return tuple(name for name, value in found.items() if value is None)

    @property
    def busy(self) -> int:
        """How many workers have work in their hands, as far as is known; at most as many as run."""
        return min(self.running, max(self.protected or 0, self.messages_in_flight or 0))
