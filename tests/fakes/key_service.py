"""What the key service gives orders to and tells, in memory; envelopes that still need a key."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pqtransfer.errors import PqtransferError
from pqtransfer.keys.dependents import DependentsUnknownError
from pqtransfer.keys.events import KeyRotated
from pqtransfer.keys.orders import KeyOrder


class InMemoryOrders:
    """`KeyOrders` in a list."""

    def __init__(self) -> None:
        self.waiting: list[KeyOrder] = []
        self.cursors: list[str] = []

    def send(self, orders: Iterable[KeyOrder]) -> int:
        before = len(self.waiting)
        self.waiting.extend(orders)
        return len(self.waiting) - before

    def continue_sweep(self, cursor: str) -> None:
        self.cursors.append(cursor)


class InMemoryAnnouncer:
    """`KeyAnnouncer` that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[KeyRotated] = []
        self.failure: PqtransferError | None = None

    def announce(self, rotated: KeyRotated) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(rotated)


class InMemoryDependents:
    """`KeyDependents`: the ids of the keys that envelopes need, and of those of which nobody knows."""

    def __init__(self) -> None:
        self.needed: set[str] = set()
        self.unknown: set[str] = set()
        self.reread_at = datetime.max.replace(tzinfo=UTC)
        """When the containers were read again."""

    def has_dependents(self, key_id: str, *, since: datetime | None = None) -> bool:
        if since is not None and since >= self.reread_at:
            raise DependentsUnknownError(key_id, "the containers have not been read again")
        if key_id in self.unknown:
            raise DependentsUnknownError(key_id, "the index does not answer")
        return key_id in self.needed
