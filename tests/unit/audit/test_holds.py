"""A legal hold keeps entries and all behind them from a purge, is on record, and can be repeated and lifted."""

from datetime import timedelta

import pytest

from pqtransfer.audit.errors import DamagedTileError
from pqtransfer.audit.holds import EntriesNotHeldError, Held, Holds
from pqtransfer.audit.trail import AuditUnavailableError
from tests.fakes.folders import Crash, FaultPlan, Faulty
from tests.fakes.trails import InMemoryAuditTrail
from tests.unit.audit.kept_logs import COMPLETED_AT, KeptLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.log_directories import make_events
from tests.unit.audit.test_retention import run

LATE = COMPLETED_AT + timedelta(days=4000)
CALLER = "arn:aws:sts::123456789012:assumed-role/custodian/jo"


@pytest.fixture
def log() -> KeptLog:
    return KeptLog(make_events(1200))


@pytest.fixture
def trail() -> InMemoryAuditTrail:
    return InMemoryAuditTrail()


def make_holds(log: KeptLog, trail: InMemoryAuditTrail, plan: FaultPlan | None = None) -> Holds:
    plan = plan or FaultPlan()
    return Holds(
        files=log,
        policy=POLICY,
        store=Faulty(log, plan),
        trail=Faulty(trail, plan),
        actor=CALLER,
        through={"caller": CALLER},
    )


def purge(log: KeptLog) -> None:
    """One run announces, what it recorded comes into the log, and the next run purges."""
    run(log, LATE)
    log.publish()
    run(log, LATE)
    log.publish()


def hold(holds: Holds, first: int, last: int) -> Held:
    return holds.hold(first, last, reason="case 17", correlation_id="hold-1")


@pytest.mark.requirement("D7.6", "S4.6")
def test_what_is_held_is_not_purged_until_it_is_lifted(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """Nor what comes after it; whatever the rules say, and for how long they have said it."""
    holds = make_holds(log, trail)
    assert hold(holds, 300, 300) == Held(256, 511)
    purge(log)
    assert log.bundles == [256, 512, 768]
    assert run(log, LATE).held_at == 256
    holds.release(300, 300, reason="closed", correlation_id="hold-2")
    purge(log)
    assert log.bundles[:1] in ([], [1024])


@pytest.mark.requirement("D7.1", "D7.2")
def test_a_hold_is_on_record_with_who_and_why(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """With all entries that it is on."""
    holds = make_holds(log, trail)
    hold(holds, 10, 600)
    holds.release(10, 20, reason="closed", correlation_id="hold-2")
    told = [(each.action, each.actor, each.reason, each.details["first"], each.details["last"]) for each in trail.facts]
    assert told == [
        ("audit.hold", CALLER, "case 17", "0", "767"),
        ("audit.release", CALLER, "closed", "0", "255"),
    ]  # fmt: skip
    assert list(holds.list_held()) == [Held(256, 767)]


def test_the_same_again_changes_nothing(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    holds = make_holds(log, trail)
    assert list(holds.list_held()) == []
    assert hold(holds, 256, 300) == hold(holds, 256, 300)
    assert list(holds.list_held()) == [Held(256, 511)]
    for _ in range(2):
        holds.release(256, 300, reason="closed", correlation_id="hold-2")
    assert list(holds.list_held()) == []


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (5, 4, "before the first"),
        (0, 1200, "has 1200"),
        (1000, 1100, r"from 1024 on .* hold the others up to 1023, and these when the log has 1280 entries"),
    ],
)
def test_entries_that_cannot_be_held_are_refused(
    log: KeptLog, trail: InMemoryAuditTrail, first: int, last: int, reason: str
) -> None:
    """All of them, and with a word on what to do."""
    with pytest.raises(EntriesNotHeldError, match=reason):
        hold(make_holds(log, trail), first, last)
    assert (log.held, trail.facts) == (set(), [])


def test_what_was_purged_cannot_be_held(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    log.held.add("tile/entries/002")
    purge(log)
    with pytest.raises(EntriesNotHeldError, match="those before 512 were purged"):
        hold(make_holds(log, trail), 0, 600)


def test_no_bundle_is_held_that_is_not_the_logs(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """A hold is not put on what an attacker has left there."""
    log.files["tile/entries/001"] = log.files["tile/entries/001"].replace(b"hospital-a", b"hospital-x", 1)
    with pytest.raises(DamagedTileError):
        hold(make_holds(log, trail), 256, 300)
    assert log.held == set()


def test_a_hold_that_cannot_be_recorded_is_there_and_not_acknowledged(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """It keeps more than is known of, never less; lifting is not done at all."""
    trail.failure = AuditUnavailableError("down")
    holds = make_holds(log, trail)
    for act in (holds.hold, holds.release):
        with pytest.raises(AuditUnavailableError):
            act(0, 0, reason="case 17", correlation_id="hold-1")
        assert log.held == {"tile/entries/000"}


@pytest.mark.parametrize("after_effect", [False, True])
def test_one_that_is_killed_anywhere_is_finished_by_the_next(after_effect: bool) -> None:
    """Held, or lifted, and on record."""
    for step in range(4):  # three bundles, and the record
        log, trail = KeptLog(make_events(1200)), InMemoryAuditTrail()
        with pytest.raises(Crash):
            hold(make_holds(log, trail, FaultPlan(at=step, after_effect=after_effect)), 0, 767)
        hold(make_holds(log, trail), 0, 767)
        assert len(log.held) == 3
        assert trail.facts[-1].action == "audit.hold"


def set_and_log(log: KeptLog, first: int, last: int, reason: str) -> None:
    """A hold whose record is in the log; KeptLog is its own trail."""
    trail = InMemoryAuditTrail()
    make_holds(log, trail).hold(first, last, reason=reason, correlation_id="hold-1")
    log.record(*trail.facts)
    log.publish()


def lift_and_log(log: KeptLog, first: int, last: int, held_for: str | None = None) -> None:
    trail = InMemoryAuditTrail()
    make_holds(log, trail).release(first, last, reason="closed", correlation_id="lift-1", held_for=held_for)
    log.record(*trail.facts)
    log.publish()


@pytest.mark.requirement("D7.6", "S4.6")
def test_lifting_one_hold_leaves_the_bundles_of_another(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """Where two overlap, the bundles of both stay held until both are lifted."""
    set_and_log(log, 0, 600, "case 17")
    set_and_log(log, 300, 900, "case 18")
    lift_and_log(log, 0, 600)
    assert list(make_holds(log, trail).list_held()) == [Held(256, 1023)]
    lift_and_log(log, 300, 900)
    assert list(make_holds(log, trail).list_held()) == []


def test_of_two_holds_on_the_same_entries_one_is_named(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """By what it is for; the other one stands, and to set one twice makes no second."""
    for reason in ("case 17", "case 18", "case 18"):
        set_and_log(log, 300, 300, reason)
    with pytest.raises(EntriesNotHeldError, match=r"256 to 511 for 'case 17'; 256 to 511 for 'case 18'"):
        lift_and_log(log, 300, 300)
    with pytest.raises(EntriesNotHeldError, match="Those that stand"):
        lift_and_log(log, 300, 300, "case 19")
    lift_and_log(log, 300, 300, "case 18")
    assert list(make_holds(log, trail).list_held()) == [Held(256, 511)]
    lift_and_log(log, 300, 300)
    assert list(make_holds(log, trail).list_held()) == []


def test_no_part_of_a_hold_is_lifted(log: KeptLog, trail: InMemoryAuditTrail) -> None:
    """Nor more than it: either would change what somebody else relies on."""
    set_and_log(log, 300, 600, "case 17")
    for first, last in ((300, 300), (0, 600)):
        with pytest.raises(EntriesNotHeldError, match=r"256 to 767 for 'case 17'"):
            make_holds(log, trail).release(first, last, reason="closed", correlation_id="lift-1")
    assert (list(make_holds(log, trail).list_held()), trail.facts) == ([Held(256, 767)], [])
