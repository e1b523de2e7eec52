"""The fleet and its work in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pqtransfer.aws.fleet import FleetState
from pqtransfer.scaling.deciding import Decision
from pqtransfer.scaling.history import Numbered
from pqtransfer.scaling.observing import WaitingTransfer


class FakeFleet:
    """A service that does at once what it is told. A part that is in `silent` raises `failure` when it is asked."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure
        self.desired = self.running = 1
        self.protected: int | None = 0
        self.waiting = self.in_flight = 0
        self.sample: tuple[WaitingTransfer, ...] = ()
        self.cpu: tuple[float, ...] = (10.0,) * 6
        self.bytes_per_second: float | None = 0.0
        self.age_seconds: float | None = None
        self.silent: set[str] = set()

    def answer(self, part: str) -> None:
        """Raise what a part that does not answer raises."""
        if part in self.silent:
            raise self._failure

    def read_age(self, _now: datetime) -> float | None:
        """CloudWatch, of the queue."""
        self.answer("age")
        return self.age_seconds


class FakeService:
    """ECS."""

    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet

    def read(self) -> FleetState:
        self._fleet.answer("service")
        return FleetState(self._fleet.desired, self._fleet.running, 0)

    def count_protected(self) -> int | None:
        self._fleet.answer("protection")
        return self._fleet.protected

    def set_desired(self, count: int) -> None:
        self._fleet.answer("update")
        self._fleet.desired = self._fleet.running = count


class FakeQueueDepth:
    """SQS."""

    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet

    def read(self) -> tuple[int, int]:
        self._fleet.answer("queue")
        return self._fleet.waiting, self._fleet.in_flight


class FakeBacklog:
    """The ledger."""

    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet

    def read(self, *, now: datetime) -> Sequence[WaitingTransfer]:  # noqa: ARG002 - the port's
        self._fleet.answer("backlog")
        return self._fleet.sample


class FakeMetrics:
    """CloudWatch."""

    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet

    def read(self, *, now: datetime) -> tuple[Sequence[float], float | None]:  # noqa: ARG002 - the port's
        self._fleet.answer("metrics")
        return self._fleet.cpu, self._fleet.bytes_per_second


class InMemoryDecisionHistory:
    """`DecisionHistory`. `overtaken` numbers were taken by another run meanwhile."""

    def __init__(self) -> None:
        self.decisions: dict[int, Decision] = {}
        self.overtaken: set[int] = set()

    def read_recent(self, *, limit: int) -> Sequence[Numbered]:
        newest = sorted(self.decisions.items(), reverse=True)[:limit]
        return [Numbered(number, decision) for number, decision in newest]

    def add(self, number: int, decision: Decision) -> bool:
        if number in self.decisions or number in self.overtaken:
            return False
        self.decisions[number] = decision
        return True

    def mark_applied(self, number: int) -> None:
        self.decisions[number] = replace(self.decisions[number], applied=True)
