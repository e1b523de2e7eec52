"""One run of `decide_scaling`: what it looks at, what it puts on record, and what it does when something fails."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from functions.decide_scaling.scaling import Scaling
from functions.decide_scaling.settings import DecideScalingSettings
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.scaling.deciding import Decision
from pqtransfer.scaling.observing import WaitingTransfer
from pqtransfer.scaling.policy import ContradictoryLimitsError, ScalingPolicy
from tests.fakes.alerts import InMemoryAlerts
from tests.fakes.scaling import (
    FakeBacklog,
    FakeFleet,
    FakeMetrics,
    FakeQueueDepth,
    FakeService,
    InMemoryDecisionHistory,
)
from tests.fakes.trails import InMemoryAuditTrail

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OUTAGE = CloudUnavailableError("it does not answer", aws_code="ServiceUnavailable")


@dataclass
class World:
    """A fleet of one idle worker, at most four."""

    fleet: FakeFleet = field(default_factory=lambda: FakeFleet(OUTAGE))
    history: InMemoryDecisionHistory = field(default_factory=InMemoryDecisionHistory)
    trail: InMemoryAuditTrail = field(default_factory=InMemoryAuditTrail)
    alerts: InMemoryAlerts = field(default_factory=InMemoryAlerts)
    minute: int = 0

    def run(self) -> Decision | None:
        """One run, a minute after the one before."""
        self.minute += 1
        scaling = Scaling(
            service="workers",
            policy=ScalingPolicy(minimum=1, maximum=4),
            fleet=FakeService(self.fleet),
            queue=FakeQueueDepth(self.fleet),
            backlog=FakeBacklog(self.fleet),
            metrics=FakeMetrics(self.fleet),
            history=self.history,
            trail=self.trail,
            alerts=self.alerts,
            read_age=self.fleet.read_age,
        )
        return scaling.run(now=NOW + timedelta(minutes=self.minute), correlation_id="scaling-1")

    def load(self, waiting: int, *, in_flight: int = 0, gigabytes: int = 15) -> None:
        """So much waits, and is in somebody's hands."""
        self.fleet.waiting, self.fleet.in_flight = waiting, in_flight
        self.fleet.sample = (WaitingTransfer(NOW, size_bytes=gigabytes * 10**9),) * min(waiting, 200)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("age_seconds", "silent", "aged"), [(30.0, False, False), (30.0, True, True), (None, False, True)]
)
def test_the_queue_says_how_old_what_waits_can_be(
    world: World, age_seconds: float | None, silent: bool, aged: bool
) -> None:
    """A row without a message asks for nobody; where the queue's age cannot be learned, the row's counts."""
    world.fleet.waiting, world.fleet.age_seconds = 2, age_seconds
    world.fleet.sample = (WaitingTransfer(NOW - timedelta(hours=2), size_bytes=10**6),) * 2
    world.fleet.silent = {"age"} if silent else set()
    decision = world.run()
    assert decision is not None
    assert (decision.reason == "age") == aged, decision.says


@pytest.mark.requirement("D6.1", "D6.4", "D6.6")
def test_a_burst_comes_and_goes(world: World) -> None:
    """To the limit and back to the minimum; each change is on record with its reason, and nothing else."""
    world.load(40)
    world.run()
    assert world.fleet.desired == 4
    world.load(0, in_flight=2)
    for _ in range(4):
        world.run()
    assert world.fleet.desired == 2
    world.load(0)
    for _ in range(4):
        world.run()
    assert world.fleet.desired == 1
    facts = [(each.action, each.details["found"], each.details["desired"]) for each in world.trail.facts]
    assert facts == [("fleet.scale", "1", "4"), ("fleet.scale", "4", "2"), ("fleet.scale", "2", "1")]
    assert all(each.reason for each in world.trail.facts)
    assert len(world.history.decisions) == 9
    assert all(each.applied for each in world.history.decisions.values())


def test_nothing_is_done_that_is_not_on_record(world: World) -> None:
    """The audit log takes nothing: the fleet stays as it is, and the run fails."""
    world.load(40)
    world.trail.failure = AuditUnavailableError("the queue does not answer")
    with pytest.raises(AuditUnavailableError):
        world.run()
    assert world.fleet.desired == 1
    assert not world.history.decisions


def test_the_service_takes_no_change(world: World) -> None:
    """The decision is kept as not carried out; the next run decides again, and sees nobody's hand in it."""
    world.load(40)
    world.fleet.silent = {"update"}
    with pytest.raises(CloudUnavailableError):
        world.run()
    world.fleet.silent = set()
    decision = world.run()
    assert decision is not None
    assert (decision.reason, world.fleet.desired) == ("bytes", 4)


def test_two_runs_at_once(world: World) -> None:
    """The slower one finds that its number is taken, and leaves the fleet alone."""
    world.load(40)
    world.history.overtaken = {1}
    assert world.run() is None
    assert world.fleet.desired == 1


@pytest.mark.parametrize("part", ["queue", "backlog", "metrics"])
def test_a_part_that_does_not_answer(world: World, part: str) -> None:
    """Nobody is let go while something is not known, and the decision says what."""
    world.fleet.desired = world.fleet.running = 3
    world.fleet.silent = {part}
    decision = world.run()
    assert decision is not None
    assert (decision.reason, decision.desired) == ("missing", 3)
    assert decision.missing


def test_protection_that_cannot_be_asked(world: World) -> None:
    """What is in flight tells as much; it is no reason to stand still."""
    world.fleet.desired = world.fleet.running = 3
    world.fleet.silent = {"protection"}
    decision = world.run()
    assert decision is not None
    assert decision.desired == 1


def test_a_count_that_somebody_set(world: World) -> None:
    """It is recorded once, and kept."""
    world.run()
    world.fleet.desired = 3
    world.run()
    world.run()
    assert world.fleet.desired == 3
    override = world.trail.find("fleet.override")
    assert override.details["found"] == "3"


def test_an_alert_when_the_limit_is_too_low(world: World) -> None:
    """After ten minutes, and once; again when it was over in between."""
    world.load(4000, in_flight=4)
    for _ in range(9):
        world.run()
    assert world.alerts.codes == []
    for _ in range(20):
        world.run()
    assert world.alerts.codes == ["fleet-at-limit"]
    world.load(0)
    world.run()
    world.load(4000)
    for _ in range(15):
        world.run()
    assert world.alerts.codes == ["fleet-at-limit"] * 2


def test_limits_that_contradict_each_other_are_refused() -> None:
    """The function says so before it decides anything."""
    settings = DecideScalingSettings.model_construct(
        workers_minimum=5,
        workers_maximum=2,
        queue_threshold=20,
        drain_seconds=300,
        settle_seconds=120,
        worker_mb_per_second=100,
    )
    with pytest.raises(ContradictoryLimitsError, match="minimum 5 is more than maximum 2"):
        settings.make_policy()
