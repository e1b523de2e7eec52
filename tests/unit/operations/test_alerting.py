"""The rules of alerts: one page for each cause, and nothing that is not resolved stays silent for ever."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.operations.alert_policy import AlertPolicy
from pqtransfer.operations.alert_records import AlertRecord, AlertState
from pqtransfer.operations.alerting import AlertEndedError, AlertRules
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.deliveries import PageKind
from pqtransfer.operations.signals import Phase, Signal
from pqtransfer.operations.silences import InvalidSilenceError, Silence
from tests.unit.operations.alert_samples import NOW, ROUTES, after, cleared, make_signal

POLICY = AlertPolicy()


class Story:
    """One alert through time; `pages` is whom it told why."""

    def __init__(self, *, silences: Sequence[Silence] = ()) -> None:
        self.record: AlertRecord | None = None
        self.silences = list(silences)
        self.pages: list[PageKind] = []

    def rules(self, at: datetime) -> AlertRules:
        return AlertRules(now=at, routes=ROUTES, silences=self.silences)

    def take(self, signal: Signal, *, at: datetime | None = None) -> "Story":
        change = self.rules(at or signal.at).take(self.record, signal)
        return self._keep(change.record)

    def advance(self, at: datetime) -> "Story":
        assert self.record is not None
        return self._keep(self.rules(at).advance(self.record).record)

    def run_until(self, at: datetime) -> "Story":
        """The clock, whenever the alert is due."""
        for _ in range(1000):
            assert self.record is not None
            due_at = self.rules(at).find_due(self.record)
            if due_at is None or due_at > at:
                return self
            self.advance(due_at)
        raise AssertionError("it is due all the time")

    def _keep(self, record: AlertRecord) -> "Story":
        self.pages += [each.kind for each in record.deliveries if each.channel == "email"]
        self.record = record.change(deliveries=())
        return self

    @property
    def state(self) -> AlertState:
        assert self.record is not None
        return self.record.state


def silence(**fields: object) -> Silence:
    known = {
        "silence_id": "s-1",
        "code": "function-failing",
        "reason": "maintenance",
        "made_by": "jo",
        "made_at": NOW - timedelta(minutes=1),
        "expires_at": after(hours=1),
    }
    return Silence.model_validate({**known, **fields})


def test_one_cause_pages_once() -> None:
    """What comes again is counted; what comes beside it within the window is added; nobody is told twice."""
    story = Story().take(make_signal("alarm"))
    for minute in range(1, 10):
        story.take(make_signal("alarm", at=after(minutes=minute)))
        story.take(make_signal(f"other-{minute}", at=after(minutes=minute)))
    assert story.pages == [PageKind.RAISED]
    assert story.record is not None
    assert len(story.record.members) == 10
    member = story.record.find_member("alarm")
    assert member is not None
    assert member.count == 10


def test_the_same_event_again_changes_nothing() -> None:
    """Queues deliver at least once."""
    story = Story().take(make_signal())
    before = story.record
    story.take(make_signal(), at=after(minutes=1))
    assert story.record == before


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (make_signal("other", at=after(minutes=9)), []),
        (make_signal("other", at=after(minutes=11)), [PageKind.MORE]),
        (make_signal("other", at=after(minutes=1), severity=AlertSeverity.CRITICAL), [PageKind.WORSE]),
        (make_signal("other", at=after(minutes=1), severity=AlertSeverity.WARNING), []),
        (cleared("other", at=after(minutes=1)), []),
        (cleared("k", at=after(minutes=1)), [PageKind.RESOLVED]),
    ],
)
def test_what_tells_people_again(second: Signal, told: list[PageKind]) -> None:
    """More of it only after the window; what is worse at once; and its end."""
    assert Story().take(make_signal()).take(second).pages == [PageKind.RAISED, *told]


def test_an_end_that_overtakes_its_beginning_is_an_end() -> None:
    """An alarm that is over by the time that anybody hears of it tells nobody."""
    story = Story().take(cleared(at=after(seconds=2))).take(make_signal(), at=after(seconds=3))
    assert (story.state, story.pages) == (AlertState.RESOLVED, [])


def test_it_is_over_when_all_of_it_is() -> None:
    """Not before."""
    story = Story().take(make_signal("a")).take(make_signal("b")).take(cleared("a", at=after(minutes=1)))
    assert story.state is AlertState.OPEN
    assert story.take(cleared("b", at=after(minutes=2))).state is AlertState.RESOLVED
    assert story.pages == [PageKind.RAISED, PageKind.RESOLVED]


@pytest.mark.parametrize(
    ("severity", "minutes"), [(AlertSeverity.CRITICAL, 5), (AlertSeverity.HIGH, 15), (AlertSeverity.WARNING, 480)]
)
def test_it_escalates_until_somebody_acknowledges(severity: AlertSeverity, minutes: int) -> None:
    """The sooner the more severe it is, and for ever, at least once a day."""
    story = Story().take(make_signal(severity=severity))
    assert story.run_until(after(minutes=minutes - 1)).pages == [PageKind.RAISED]
    assert story.run_until(after(minutes=minutes)).pages == [PageKind.RAISED, PageKind.ESCALATED]
    told = len(story.run_until(after(days=30)).pages)
    assert len(story.run_until(after(days=31, minutes=1)).pages) > told


def test_escalation_reaches_others() -> None:
    """The second one goes to a channel that hears nothing before."""
    rules = AlertRules(now=NOW, routes=ROUTES)
    record = rules.take(None, make_signal()).record
    once = rules.escalate(record).record
    twice = rules.escalate(once).record
    assert [each.channel for each in record.deliveries] == ["email", "oncall"]
    assert {each.channel for each in twice.deliveries} == {"email", "oncall", "manager"}


def test_an_acknowledgement_ends() -> None:
    """Nobody is told while it counts; afterwards people are reminded, and it escalates again."""
    story = Story().take(make_signal())
    assert story.record is not None
    story.record = story.rules(after(minutes=1)).acknowledge(story.record, by="jo").record.change(deliveries=())
    assert (story.state, story.record.acknowledged_by) == (AlertState.ACKNOWLEDGED, "jo")
    assert story.run_until(after(hours=12)).pages == [PageKind.RAISED]
    story.run_until(after(hours=12, minutes=17))
    assert story.pages == [PageKind.RAISED, PageKind.REMINDER, PageKind.ESCALATED]
    assert story.state is AlertState.OPEN


def test_what_is_worse_ends_an_acknowledgement() -> None:
    """Somebody took care of something milder."""
    story = Story().take(make_signal())
    assert story.record is not None
    story.record = story.rules(NOW).acknowledge(story.record, by="jo").record.change(deliveries=())
    story.take(make_signal("x", severity=AlertSeverity.CRITICAL, at=after(minutes=1)))
    assert story.state is AlertState.OPEN
    assert story.pages[-1] is PageKind.WORSE


def test_what_comes_and_goes_is_told_once() -> None:
    """From the third time within the hour: that it comes and goes, and then nothing until it is calm."""
    story = Story()
    for minute in range(0, 40, 4):
        story.take(make_signal(at=after(minutes=minute))).take(cleared(at=after(minutes=minute + 2)))
    raised_twice = [PageKind.RAISED, PageKind.RESOLVED] * 2
    assert [each for each in story.pages if each is not PageKind.ESCALATED] == [*raised_twice, PageKind.FLAPPING]
    assert story.state is AlertState.OPEN
    story.run_until(after(minutes=36 + 30))
    assert story.state is AlertState.RESOLVED
    assert story.pages[-1] is PageKind.RESOLVED


def test_what_nothing_ends_is_over_when_it_is_quiet() -> None:
    """A function raises alerts and never takes one back."""
    story = Story().take(make_signal(ends_by_event=False, severity=AlertSeverity.WARNING))
    assert story.run_until(after(hours=2)).state is AlertState.RESOLVED


def test_what_is_critical_is_not_over_because_it_is_quiet() -> None:
    """Somebody has to acknowledge it first."""
    story = Story().take(make_signal(ends_by_event=False, severity=AlertSeverity.CRITICAL))
    assert story.run_until(after(days=3)).state is AlertState.OPEN
    assert story.record is not None
    story.record = story.rules(after(days=3)).acknowledge(story.record, by="jo").record
    assert story.advance(after(days=3, minutes=1)).state is AlertState.RESOLVED


def test_a_silence_is_silent_and_ends() -> None:
    """Nobody is told while it lasts; when it ends and the alert does not, they are."""
    story = Story(silences=[silence()]).take(make_signal())
    assert story.run_until(after(minutes=59)).pages == []
    story.silences = []
    assert story.run_until(after(hours=1)).pages[0] is PageKind.RAISED


def test_a_silence_of_a_code_hides_no_other() -> None:
    """What comes beside it is told."""
    story = Story(silences=[silence()]).take(make_signal())
    story.take(make_signal("x", code="audit-log-tampered", severity=AlertSeverity.CRITICAL, at=after(minutes=1)))
    assert story.pages == [PageKind.WORSE]


@pytest.mark.parametrize("fields", [{"code": None}, {"alert_id": "ab" * 10}, {"expires_at": NOW - timedelta(hours=1)}])
def test_what_is_no_silence(fields: dict[str, object]) -> None:
    """It names one thing, and ends after it has begun."""
    with pytest.raises(ValueError, match=r"names a code or an alert|ends before"):
        silence(**fields)


def test_a_silence_is_short() -> None:
    """A week at most."""
    with pytest.raises(InvalidSilenceError):
        silence(expires_at=after(days=8)).require_short(at_most=POLICY.silence_at_most)


def test_somebody_says_that_it_is_over() -> None:
    """Late signals of before count no more; the next one opens it anew, and that is no flapping."""
    story = Story()
    for minute in range(0, 30, 10):
        at = after(minutes=minute)
        story.take(make_signal(at=at, ends_by_event=False))
        assert story.record is not None
        story.record = story.rules(at).resolve(story.record, by="jo").record.change(deliveries=())
        assert (
            story.take(make_signal(at=at, event_id="late"), at=after(minutes=minute + 1)).state is AlertState.RESOLVED
        )
    assert story.pages == [PageKind.RAISED] * 3
    with pytest.raises(AlertEndedError):
        story.rules(NOW).acknowledge(story.record, by="jo")  # type: ignore[arg-type]


def test_a_broken_channel_is_not_told_that_it_is_broken() -> None:
    """The others are."""
    signal = make_signal(code="notification-failed", details={"channel": "oncall"}, severity=AlertSeverity.CRITICAL)
    record = AlertRules(now=NOW, routes=ROUTES).take(None, signal).record
    assert [each.channel for each in record.deliveries] == ["email"]


def test_a_time_that_is_not_yet_counts_as_now() -> None:
    """A clock that is fast cannot keep an alert from ending."""
    story = Story().take(make_signal(at=after(days=365)), at=NOW).take(cleared(at=after(minutes=1)))
    assert story.state is AlertState.RESOLVED


KEYS = st.sampled_from(["a", "b", "c"])
MOMENTS = st.integers(min_value=0, max_value=100)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    phase = draw(st.sampled_from(list(Phase)))
    severity = draw(st.sampled_from(list(AlertSeverity)))
    moment = draw(MOMENTS)
    # A tie between a beginning and an end counts as a beginning, so each kind has moments of its own.
    at = after(seconds=moment * 2 + (phase is Phase.CLEARED))
    key = draw(KEYS)
    return make_signal(key, phase=phase, severity=severity, at=at, event_id=f"{key}{phase}{at}{severity}")


@settings(deadline=None, max_examples=150)
@given(seen=st.lists(signals(), min_size=1, max_size=12), data=st.data())
def test_any_order_and_repetition_ends_the_same(seen: list[Signal], data: st.DataObject) -> None:
    """What is still so depends on what was seen, not on when it came, or how often."""
    shuffled = data.draw(st.permutations([*seen, *data.draw(st.lists(st.sampled_from(seen), max_size=6))]))
    at = after(minutes=10)
    one, other = Story(), Story()
    for signal in seen:
        one.take(signal, at=at)
    for signal in shuffled:
        other.take(signal, at=at)
    assert one.record is not None
    assert other.record is not None
    assert {each.key for each in one.record.open_members} == {each.key for each in other.record.open_members}
    for record in (one.record, other.record):
        assert record.is_open == (bool(record.open_members) or record.is_flapping)


@settings(deadline=None, max_examples=150)
@given(seen=st.lists(st.tuples(signals(), st.integers(0, 3600)), min_size=1, max_size=12))
def test_every_state_is_legal_and_speaks_again(seen: list[tuple[Signal, int]]) -> None:
    """Whatever comes: an open alert has something still so, a time at which it speaks next, and told somebody."""
    story, at = Story(), NOW
    for signal, wait_seconds in seen:
        at += timedelta(seconds=wait_seconds)
        story.take(signal, at=at).run_until(at)
        record = story.record
        assert record is not None
        due_at = story.rules(at).find_due(record)
        if record.is_open:
            assert record.open_members or record.is_flapping
            assert due_at is not None
            assert at < due_at <= at + timedelta(days=1)
            assert record.paged_at is not None
            assert record.escalates_at is not None
        else:
            assert not record.open_members
            assert record.escalates_at is None
            assert story.rules(at).find_expiry(record) is not None
        assert AlertRecord.model_validate_json(record.model_dump_json()) == record


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 200))
def test_an_alert_stays_small(count: int) -> None:
    """However much comes in: what does not fit is counted."""
    story = Story()
    for number in range(count):
        story.take(make_signal(f"k-{number}", at=after(seconds=number)))
    assert story.record is not None
    assert len(story.record.members) + story.record.members_left_out == count
    assert len(story.record.model_dump_json()) < 100_000
