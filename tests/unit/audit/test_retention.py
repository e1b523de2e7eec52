"""Retention archives and purges on its schedule, a hold wins, and what remains is verified and proven as before."""

from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from pqtransfer.audit.checking import check_log
from pqtransfer.audit.checkpoints import open_checkpoint
from pqtransfer.audit.errors import BundleLockedError, DamagedTileError, UnaccountedPurgeError
from pqtransfer.audit.events import EventKind
from pqtransfer.audit.findings import FindingKind
from pqtransfer.audit.positions import Numbering
from pqtransfer.audit.proofs import EntryProof, prove_entry
from pqtransfer.audit.retention import InvalidRetentionError, RetentionRule, RetentionRules, judge_bundle
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.audit.upkeep import RetentionOutcome, Upkeep
from tests.fakes.folders import Crash, FaultPlan, Faulty
from tests.unit.audit.kept_logs import COMPLETED_AT, KeptLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.samples import make_event

RULES = RetentionRules.from_text("default=30:90,security=60:365")
PLAIN = [
    event.model_copy(update={"event_id": f"0198c0de-0000-7000-8000-{number:012x}", "sequence": number + 1})
    for number, event in enumerate([make_event(producer="worker/a")] * 600)
]
DAY_31, DAY_91, DAY_92 = (COMPLETED_AT + timedelta(days=days) for days in (31, 91, 92))


def run(log: KeptLog, now: datetime, *, dry_run: bool = False, plan: FaultPlan | None = None) -> RetentionOutcome:
    store, trail = (Faulty(log, plan) if plan else log for _ in range(2))
    upkeep = Upkeep(log, POLICY, store=store, rules=RULES, trail=trail)
    return upkeep.run(now=now, correlation_id="retention-1", dry_run=dry_run)


def run_twice(log: KeptLog) -> RetentionOutcome:
    """One run announces, what it recorded comes into the log, and the next run purges."""
    run(log, DAY_91)
    log.publish()
    outcome = run(log, DAY_92)
    log.publish()
    return outcome


def actions(log: KeptLog) -> list[str]:
    return [event.action for event in [*log.events, *log.pending] if event.producer == "archive-audit-log/1"]


@pytest.mark.requirement("D7.6")
@pytest.mark.parametrize(
    ("kinds", "hot", "keep"),
    [
        ([EventKind.KEY], 30, 90),
        ([EventKind.SECURITY], 60, 365),
        ([EventKind.KEY] * 255 + [EventKind.SECURITY], 60, 365),  # one entry keeps the other 255
    ],
)
def test_a_bundle_is_due_when_its_last_entry_is(kinds: list[EventKind], hot: int, keep: int) -> None:
    """By the class that is kept longest, counted from when the bundle was completed."""
    entries = [make_event(kind).to_json() for kind in kinds]
    age = judge_bundle(0, entries, RULES, completed_at=COMPLETED_AT, is_held=False)
    assert age.archive_at == COMPLETED_AT + timedelta(days=hot)
    assert age.purge_at == COMPLETED_AT + timedelta(days=keep)


def test_what_is_no_event_is_kept_longest() -> None:
    age = judge_bundle(0, [b"{}"], RULES, completed_at=COMPLETED_AT, is_held=False)
    assert age.purge_at == COMPLETED_AT + timedelta(days=365)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default",
        "default=1",
        "default=0:1",
        "default=9:8",
        "security=1:2",
        "default=1:2,default=1:2",
        "default=1:2,nonsense=1:2",
        "default=1:99999",
        "default=-1:2",
        "default=1:2;key=1:2",
    ],
)
def test_rules_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidRetentionError, match="default=90:2557"):
        RetentionRules.from_text(text)


def test_rules_are_read() -> None:
    assert RULES.find(EventKind.KEY) == RetentionRule(30, 90)
    assert RULES.find(EventKind.SECURITY) == RetentionRule(60, 365)
    assert RULES.shortest_keep_days == 90


@pytest.mark.requirement("D7.6", "S4.6")
def test_nothing_happens_before_it_is_due() -> None:
    log = KeptLog(PLAIN)
    assert run(log, COMPLETED_AT + timedelta(days=29)) == RetentionOutcome()
    assert (log.archived, log.pending) == ([], [])


@pytest.mark.requirement("D7.6", "S4.6")
def test_what_is_due_is_archived_and_that_is_recorded() -> None:
    """Whole bundles only; the second run has nothing more to do."""
    log = KeptLog(PLAIN)
    assert run(log, DAY_31).archived == 512
    assert log.archived == ["tile/entries/000", "tile/entries/001"]
    assert [(event.action, event.details) for event in log.pending] == [
        ("audit.archive", {"first": "0", "last": "511"})
    ]
    assert run(log, DAY_31).archived == 0


@pytest.mark.requirement("D7.6", "S4.6")
def test_a_purge_is_announced_in_the_log_before_anything_is_deleted() -> None:
    """Until the event is in the log nothing goes; then the bundles do, and no hash does."""
    log = KeptLog(PLAIN)
    announced = run(log, DAY_91)
    assert (announced.announced, announced.announced_first_kept, announced.purged) == (512, 512, 0)
    assert run(log, DAY_92).purged == 0  # the event is on its way
    log.publish()
    assert log.bundles == [0, 256]
    assert run(log, DAY_92).purged == 512
    assert log.bundles == []
    assert {"tile/0/000", "tile/0/001"} <= set(log.files)
    assert actions(log) == ["audit.archive", "audit.purge"]


@pytest.mark.requirement("D7.6")
def test_after_a_purge_the_log_is_intact_and_complete_and_remaining_proofs_hold() -> None:
    """Proofs of before the purge too; the digest of the numbers is in the log."""
    log = KeptLog(PLAIN)
    before = prove(log, 599)
    run_twice(log)
    checked = check_log(log, POLICY)
    assert checked.report.findings == []
    assert (checked.first_kept, checked.report.is_complete) == (512, True)
    for proof in (before, prove(log, 599), prove(log, 512)):
        assert EntryProof.from_bytes(proof.to_bytes()).check(POLICY)


@pytest.mark.requirement("D7.6")
def test_a_legal_hold_wins() -> None:
    """The bundle that is held stays, with all that come after it; those before it go."""
    log = KeptLog(PLAIN)
    log.held = {"tile/entries/001"}
    outcome = run(log, DAY_91)
    assert (outcome.announced, outcome.held_at) == (256, 256)
    log.publish()
    run(log, DAY_92)
    assert log.bundles == [256]


@pytest.mark.requirement("D7.6")
def test_a_hold_that_comes_after_the_announcement_wins_too() -> None:
    """What was announced is not purged any more."""
    log = KeptLog(PLAIN)
    run(log, DAY_91)
    log.publish()
    log.held = {"tile/entries/000"}
    assert run(log, DAY_92).purged == 0
    assert log.bundles == [0, 256]
    assert check_log(log, POLICY).report.findings == []


@pytest.mark.requirement("D7.6")
def test_classes_that_are_kept_longer_keep_their_bundle() -> None:
    """One security event in the second bundle."""
    events = [*PLAIN]
    events[300] = make_event(EventKind.SECURITY, producer="worker/a", sequence=301)
    log = KeptLog(events)
    assert run(log, DAY_91).announced == 256


def test_a_dry_run_tells_and_does_nothing() -> None:
    log = KeptLog(PLAIN)
    outcome = run(log, DAY_91, dry_run=True)
    assert (outcome.archived, outcome.announced, outcome.announced_first_kept) == (512, 512, 512)
    assert (log.archived, log.pending, log.documents) == ([], [], {})


def test_a_lock_of_the_store_has_the_last_word() -> None:
    """It ends the run with an error that says so; the log is still accounted for, and the next run goes on."""
    log = KeptLog(PLAIN)
    run(log, DAY_91)
    log.publish()
    log.locked = {"tile/entries/001"}
    with pytest.raises(BundleLockedError, match="lock or a legal hold"):
        run(log, DAY_92)
    assert check_log(log, POLICY).report.findings == []
    log.locked = set()
    assert run(log, DAY_92).purged == 512
    assert log.bundles == []


def test_a_log_that_is_not_intact_is_not_touched() -> None:
    log = KeptLog(PLAIN)
    log.files["tile/entries/000"] = log.files["tile/entries/000"].replace(b"hospital-a", b"hospital-b", 1)
    with pytest.raises(DamagedTileError):
        run(log, DAY_91)
    assert (log.archived, log.pending) == ([], [])


def test_nothing_is_purged_that_could_not_be_recorded() -> None:
    log = KeptLog(PLAIN)

    def refuse(*_: object) -> None:
        raise AuditUnavailableError("queue and spool are down")

    log.record = refuse  # type: ignore[method-assign]
    with pytest.raises(AuditUnavailableError):
        run(log, DAY_91)
    assert b"announced" not in log.documents.get("retention", b"")


def test_a_forged_state_purges_nothing() -> None:
    """Somebody who can write to the bucket says that a purge was announced, or that more was purged than was."""
    log = KeptLog(PLAIN)
    forged = (
        b'{"announced":{"first":0,"first_kept":512,"log_size":0,"numbers_sha256":"%b"},"archived_bundles":0,'
        b'"format":"pqtransfer-audit-retention/1"}'
    )
    log.documents["retention"] = forged % (b"ab" * 32)
    run(log, DAY_91)
    assert log.bundles == [0, 256]
    log.documents = {"purged": TrustedLog(b"", 256, {"worker/a": Numbering(512)}).to_bytes()}
    with pytest.raises(UnaccountedPurgeError):
        run(log, DAY_91)
    assert FindingKind.ENTRIES_MISSING in [each.kind for each in check_log(log, POLICY).report.findings]


@pytest.mark.requirement("D7.6")
def test_the_next_purge_goes_on_where_the_last_one_ended() -> None:
    """Numbers and digests follow each other; the newest event accounts for everything that is gone."""
    log = KeptLog(PLAIN[:300])
    run_twice(log)
    assert log.bundles == []
    log.events += PLAIN[300:]
    log.publish()
    run_twice(log)
    checked = check_log(log, POLICY)
    assert (checked.report.findings, checked.first_kept) == ([], 512)


@pytest.mark.requirement("D7.6")
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(after_effect: bool) -> None:
    """Between every two calls, in the run that announces and in the run that purges: nothing goes unaccounted for."""
    for killed in (DAY_91, DAY_92):
        for at in range(count_calls(killed)):
            log = KeptLog(PLAIN)
            for now in (DAY_91, DAY_92):
                with suppress(Crash):
                    run(log, now, plan=FaultPlan(at if now == killed else None, after_effect=after_effect))
                log.publish()
                assert_accounted(log)
            for _ in range(3):
                run(log, DAY_92)
                log.publish()
            assert_accounted(log)
            assert log.bundles == []


def assert_accounted(log: KeptLog) -> None:
    kinds = [each.kind for each in check_log(log, POLICY).report.findings]
    assert kinds == []


def count_calls(killed: datetime) -> int:
    """How many calls the run has that is to be killed."""
    log = KeptLog(PLAIN)
    for now in (DAY_91, DAY_92):
        plan = FaultPlan()
        run(log, now, plan=plan)
        if now == killed:
            break
        log.publish()
    return len(plan.calls)


def prove(log: KeptLog, index: int) -> EntryProof:
    tree = TiledTree(open_checkpoint(log.checkpoint, POLICY).checkpoint, log.read_tile)
    return prove_entry(log.events[index].to_json(), index, tree=tree, checkpoint_note=log.checkpoint)
