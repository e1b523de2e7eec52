"""A check of the log: the alert first, then evidence, then the event; and only what was intact is remembered."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from functions.check_audit_integrity.comparison import Comparison
from functions.check_audit_integrity.inspection import Inspected, Inspection
from pqtransfer.audit.checkpoints import TrustPolicy, sign_checkpoint
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.errors import LogMovedError
from pqtransfer.audit.positions import ProducerPosition
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.sequencing import LogState
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.aws.failures import CloudRequestError, CloudUnavailableError
from pqtransfer.operations.alerts import AlertSeverity
from tests.fakes.folders import Crash
from tests.fakes.trails import InMemoryAuditTrail
from tests.unit.audit.keys import ORIGIN, POLICY, TIME_SECONDS, make_signer
from tests.unit.audit.samples import make_event
from tests.unit.functions.witness_checkpoint.test_witness import WitnessedDeployment, write

NOW = datetime.fromtimestamp(TIME_SECONDS, UTC)


class Files:
    """The log as readers see it: the witnessed checkpoint."""

    def __init__(self, deployment: "Checked") -> None:
        self._deployment = deployment

    def read_tile(self, path: str) -> bytes:
        return self._deployment.log.read_tile(path)

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        if self._deployment.checkpoint_failure is not None:
            raise self._deployment.checkpoint_failure
        return self._deployment.shown.load()

    def find_purged(self) -> bytes | None:
        return self._deployment.purged


class Checked(WitnessedDeployment):
    """A deployed log with its check. `steps` tells in which order it sounds the alarm."""

    def __init__(self) -> None:
        super().__init__()
        self.trusted: TrustedLog | None = None
        self.preserved: list[str] = []
        self.reports: dict[str, bytes] = {}
        self.trail = InMemoryAuditTrail()
        self.written_at = [NOW]
        self.now = NOW
        self.policy: TrustPolicy = POLICY
        self.purged: bytes | None = None
        self.checkpoint_failure: Exception | None = None
        self.evidence_failure: Exception | None = None
        self.seconds_left = 900.0
        self.bundles_left = 1_000_000
        self.cursor: bytes | None = None
        self.faults: list[str] = []

    def load(self) -> TrustedLog | None:
        return self.trusted

    def load_cursor(self) -> CheckCursor | None:
        self.loaded = self.cursor
        return None if self.cursor is None else CheckCursor.from_bytes(self.cursor)

    def save_cursor(self, cursor: CheckCursor | None) -> None:
        self.fail("save_cursor")
        if self.cursor != self.loaded:
            raise LogMovedError
        self.cursor = None if cursor is None else cursor.to_bytes()

    def fail(self, step: str) -> None:
        if step in self.faults:
            self.faults.remove(step)
            raise Crash

    def find_seconds_left(self) -> float:
        """Time for so many bundles, and then for nothing but the rest of the check."""
        self.bundles_left -= 1
        return self.seconds_left if self.bundles_left > 0 else 399.0

    def save(self, trusted: TrustedLog) -> None:
        self.fail("save")
        self.trusted = TrustedLog.from_bytes(trusted.to_bytes())

    def preserve(self, path: str) -> list[str]:
        assert self.alerts.raised, "the alert comes first"
        if self.evidence_failure is not None:
            raise self.evidence_failure
        self.preserved.append(path)
        self.seconds_left -= 300
        return [f"evidence/{path}/1"]

    def place_report(self, name: str) -> str:
        return f"evidence/reports/{name}"

    def keep_report(self, name: str, data: bytes) -> None:
        if self.evidence_failure is not None:
            raise self.evidence_failure
        self.reports[name] = data

    def find_age(self, path: str) -> datetime | None:
        return max(self.written_at) if path == "unwitnessed" else None

    def find_age_before(self, path: str, moment: datetime) -> datetime | None:
        assert path == "unwitnessed"
        return max((each for each in self.written_at if each < moment), default=None)

    def check(self, *, full: bool = False) -> Inspected:
        self.alerts.raised.clear()
        return Inspection(
            files=Files(self),
            comparison=Comparison(self, self.states, self.policy, self.now),
            memory=self,
            evidence=self,
            alerts=self.alerts,
            trail=self.trail,
            policy=self.policy,
            now=NOW,
            correlation_id="check-1",
            seconds_left=self.find_seconds_left,
        ).run(full=full)


@pytest.fixture
def checked() -> Checked:
    checked = Checked()
    write(checked, 1, 300)
    checked.look()
    assert checked.check().findings == []
    return checked


def kinds(found: Inspected) -> list[str]:
    return [str(finding.kind) for finding in found.findings]


def test_an_empty_log_is_no_finding() -> None:
    """Nothing was ever logged."""
    assert Checked().check().findings == []


def test_only_what_is_new_is_read_again(checked: Checked) -> None:
    """The next check goes on from what this one has verified; a full one reads everything."""
    write(checked, 301, 20)
    checked.look()
    assert checked.check().checked.report.entries_checked == 20
    assert checked.trusted is not None
    assert checked.trusted.next_index == 320
    assert checked.check(full=True).checked.report.entries_checked == 320


def set_back(checked: Checked) -> None:
    checked.states.state = LogState(origin=ORIGIN)


def fork(checked: Checked) -> None:
    other = WitnessedDeployment()
    write(other, 1, 299)
    other.append([make_event(sequence=300, actor="mallory").to_json()])
    checked.states.state = other.states.state


def move_on(checked: Checked) -> None:
    checked.states.positions["worker/a"] = ProducerPosition(last_sequence=305)


def forget(checked: Checked) -> None:
    checked.states.positions["worker/a"] = ProducerPosition(last_sequence=7)


def lose_unwitnessed(checked: Checked) -> None:
    checked.log.checkpoint = None


def change_entry(checked: Checked) -> None:
    path = "tile/entries/001.p/44"
    checked.log.files[path] = checked.log.files[path].replace(b"hospital-a", b"hospital-z", 1)


def use_revoked_key(checked: Checked) -> None:
    stolen = [make_signer(ORIGIN, key.kind, seed="stolen") for key in POLICY.log_keys]
    revoked = tuple(signer.key for signer in stolen)
    checked.policy = TrustPolicy(ORIGIN, POLICY.log_keys, POLICY.witness_keys, 1, revoked)
    note = sign_checkpoint(checked.read_shown(), stolen, time_seconds=TIME_SECONDS).to_bytes()
    checked.shown.note = PublishedCheckpoint(note, "x")


@pytest.mark.requirement("D7.5", "S4.7", "N6")
@pytest.mark.parametrize(
    ("attack", "kind", "severity"),
    [
        (set_back, "state-changed", AlertSeverity.CRITICAL),
        (fork, "state-changed", AlertSeverity.CRITICAL),
        (forget, "state-changed", AlertSeverity.CRITICAL),
        (move_on, "events-withheld", AlertSeverity.HIGH),
        (lose_unwitnessed, "checkpoint-missing", AlertSeverity.CRITICAL),
        (change_entry, "entry-changed", AlertSeverity.CRITICAL),
        (use_revoked_key, "key-revoked", AlertSeverity.CRITICAL),
    ],
)
def test_what_is_wrong_is_kept_told_and_recorded(
    checked: Checked, attack: Callable[[Checked], None], kind: str, severity: AlertSeverity
) -> None:
    """In this order; and what was trusted before stays what is trusted."""
    trusted = checked.trusted
    attack(checked)
    found = checked.check(full=True)
    assert kind in kinds(found)
    assert {"checkpoint", "unwitnessed"} <= set(checked.preserved)
    (report,) = checked.reports.values()
    assert kind.encode() in report
    alert = next(each for each in checked.alerts.raised if each.details["finding"] == kind)
    assert alert.severity is severity
    assert alert.remedy.endswith(f"docs/runbooks/{alert.code}.md")
    fact = next(each for each in checked.trail.facts if each.details["finding"] == kind)
    assert (fact.action, fact.details["evidence"]) == ("audit.tamper.detect", alert.details["evidence"])
    if severity is AlertSeverity.CRITICAL:
        assert checked.trusted == trusted


@pytest.mark.parametrize("is_committed", [False, True])
def test_what_nobody_signs_or_witnesses_any_more_is_told(checked: Checked, is_committed: bool) -> None:
    """After ten minutes: before, it may be on its way."""
    before = checked.log.checkpoint
    write(checked, 301, 5)
    if is_committed:
        checked.log.checkpoint = before
    checked.written_at.append(NOW + timedelta(minutes=2))
    checked.now = NOW + timedelta(minutes=5)
    assert kinds(checked.check()) == []
    checked.now = NOW + timedelta(hours=1)
    assert kinds(checked.check()) == ["checkpoint-stale"]
    assert checked.alerts.codes == ["audit-log-incomplete"]


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_traffic_does_not_hide_that_nobody_witnesses(checked: Checked) -> None:
    """The log signs every minute, so its newest checkpoint is always young: the oldest that was passed over counts."""
    for minute in range(1, 61):
        write(checked, 300 + minute, 1)
        checked.written_at.append(NOW + timedelta(minutes=minute))
        checked.now = NOW + timedelta(minutes=minute, seconds=30)
        expected = ["checkpoint-stale"] if minute > 11 else []
        assert kinds(checked.check()) == expected, minute


def test_a_log_that_was_idle_is_not_behind_when_it_goes_on(checked: Checked) -> None:
    """Its witness was last asked a day ago, and has not come to what was signed this minute."""
    write(checked, 301, 5)
    checked.now = NOW + timedelta(days=1)
    checked.written_at.append(checked.now - timedelta(seconds=30))
    assert kinds(checked.check()) == []


def test_a_log_that_was_replaced_is_told_in_few_words(checked: Checked) -> None:
    """Some findings one by one, the others counted; the report has more of them."""
    for path in list(checked.log.files):
        if path.startswith("tile/entries/"):
            del checked.log.files[path]
    for number in range(40):
        checked.states.positions[f"worker/{number}"] = ProducerPosition(last_sequence=9)
    found = checked.check(full=True)
    assert found.findings
    assert len(checked.alerts.raised) <= 20


def test_a_check_that_cannot_record_fails_after_it_has_told(checked: Checked) -> None:
    """It is run again; the administrators know by then."""
    change_entry(checked)
    checked.trail.failure = AuditUnavailableError("the queue is down")
    with pytest.raises(AuditUnavailableError):
        checked.check(full=True)
    assert checked.alerts.raised


@pytest.mark.requirement("D7.5", "S4.7", "N6")
@pytest.mark.parametrize("full", [False, True])
def test_what_stands_at_purged_and_says_nothing_is_told(checked: Checked, full: bool) -> None:
    """One byte there stops no check, not even one of what is new."""
    checked.purged = b"x"
    found = checked.check(full=full)
    assert kinds(found) == ["file-unreadable"]
    assert checked.alerts.codes == ["audit-log-tampered"]
    assert found.findings[0].place == "purged"
    assert found.checked.report.entries_checked == (300 if full else 0)


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_a_checkpoint_that_is_there_and_cannot_be_read_is_told(checked: Checked) -> None:
    """Written anew under another key, or into a class that has to be restored first."""
    checked.checkpoint_failure = CloudRequestError("SSE-C", aws_code="InvalidRequest")
    found = checked.check()
    assert kinds(found) == ["file-unreadable"]
    assert checked.alerts.codes == ["audit-log-tampered"]
    checked.checkpoint_failure = CloudUnavailableError("slow down", aws_code="SlowDown")
    with pytest.raises(CloudUnavailableError):
        checked.check()


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_evidence_that_cannot_be_kept_silences_nothing(checked: Checked) -> None:
    """The administrators are told, and the log tells of it; the check fails all the same, so that this is told too."""
    change_entry(checked)
    checked.evidence_failure = CloudRequestError("no copy", aws_code="InvalidRequest")
    with pytest.raises(CloudRequestError, match="no copy"):
        checked.check(full=True)
    assert checked.alerts.codes[0] == "audit-log-tampered"
    assert {each.action for each in checked.trail.facts} == {"audit.tamper.detect"}


def test_one_version_that_cannot_be_copied_is_noted(checked: Checked) -> None:
    """Beside those that can; the report says which is missing and why."""
    preserve = checked.preserve

    def refuse_one(path: str) -> list[str]:
        if path == "unwitnessed":
            raise CloudRequestError("no copy", aws_code="InvalidRequest")
        return preserve(path)

    checked.preserve = refuse_one  # type: ignore[method-assign]
    change_entry(checked)
    checked.check(full=True)
    (report,) = checked.reports.values()
    assert json.loads(report)["not_preserved"] == {"unwitnessed": "no copy"}
    assert checked.preserved == ["checkpoint", "tile/entries/001.p/44"]


def test_no_evidence_takes_the_time_of_the_report(checked: Checked) -> None:
    """What there is no time to copy is noted."""
    checked.seconds_left = 600.0
    change_entry(checked)
    checked.check(full=True)
    (report,) = checked.reports.values()
    assert list(json.loads(report)["not_preserved"]) == ["tile/entries/001.p/44"]


def check_in_parts(checked: Checked, *, full: bool, bundles: int = 1) -> list[Inspected]:
    """Run after run, each with time for so many bundles, until none says that there is more."""
    runs = list[Inspected]()
    while not runs or runs[-1].goes_on:
        checked.bundles_left = bundles
        runs.append(checked.check(full=full))
    checked.bundles_left = 1_000_000
    return runs


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_a_log_that_one_run_cannot_read_is_checked_by_several(checked: Checked) -> None:
    """What they remember is what one run would remember; the log has grown meanwhile, and is read to its end."""
    write(checked, 301, 500)
    checked.look()
    before = checked.trusted
    checked.bundles_left = 1
    first = checked.check(full=True)
    assert (first.goes_on, first.checked.report.entries_checked, checked.trusted) == (True, 256, before)
    write(checked, 801, 300)
    checked.look()
    runs = check_in_parts(checked, full=True)
    assert [run.checked.report.entries_checked for run in runs] == [512, 768, 1024, 1100]
    assert runs[-1].findings == []
    assert checked.trusted is not None
    assert (checked.trusted.next_index, checked.cursor) == (1100, None)
    assert checked.check().checked.report.entries_checked == 0


@pytest.mark.requirement("D7.5", "S4.7", "N6")
def test_what_a_part_finds_is_told_at_once_and_once(checked: Checked) -> None:
    """Not when the last part is done; and the next check of everything finds it again."""
    write(checked, 301, 500)
    checked.look()
    trusted = checked.trusted
    checked.log.files["tile/entries/001"] = checked.log.files["tile/entries/001"].replace(
        b"hospital-a", b"hospital-z", 1
    )
    told = list[str]()
    while not told or checked.cursor:
        checked.bundles_left = 1
        found = checked.check(full=True)
        told.append(" ".join(alert.details["finding"] for alert in checked.alerts.raised))
        checked.seconds_left = 900.0
    assert told == ["", "entry-changed", "", "sequence-gap"]
    assert kinds(found) == ["entry-changed", "sequence-gap"]
    assert checked.trusted == trusted
    checked.bundles_left = 1_000_000
    assert kinds(checked.check(full=True)) == ["entry-changed", "sequence-gap"]


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("step", ["save_cursor", "save"])
@pytest.mark.parametrize("at", range(4))
def test_a_check_that_dies_between_two_parts_is_gone_on_with(checked: Checked, step: str, at: int) -> None:
    """By the next run, from what was remembered last; nothing is left out, and nothing is found that is not there."""
    write(checked, 301, 500)
    checked.look()
    for run in range(12):
        checked.bundles_left = 1
        if run == at:
            checked.faults.append(step)
        with suppress(Crash):
            found = checked.check(full=True)
            if found.checked.report.is_finished and not checked.faults:
                break
    assert (found.findings, found.checked.report.entries_checked) == ([], 800)
    assert checked.trusted is not None
    assert (checked.trusted.next_index, checked.cursor) == (800, None)


def test_of_two_that_go_on_from_the_same_place_one_does(checked: Checked) -> None:
    """The other one sees that, and does not ask for a third."""
    write(checked, 301, 500)
    checked.look()
    checked.bundles_left = 1
    load_cursor = checked.load_cursor

    def load_late() -> CheckCursor | None:
        cursor = load_cursor()
        checked.cursor = b"of another run"
        return cursor

    checked.load_cursor = load_late  # type: ignore[method-assign]
    assert not checked.check(full=True).goes_on


def test_what_is_new_is_read_in_parts_too(checked: Checked) -> None:
    """Each part remembers what it has verified."""
    write(checked, 301, 700)
    checked.look()
    runs = check_in_parts(checked, full=False)
    assert [run.checked.report.entries_checked for run in runs] == [212, 256, 232]
    assert checked.trusted is not None
    assert checked.trusted.next_index == 1000
