"""Alert processing: each change is recorded and written once, whoever comes in between, and followed to its end."""

import json
from datetime import timedelta

import pytest

from functions.process_alerts.orders import answer_order
from functions.process_alerts.sending import name_delivery
from pqtransfer.audit.trail import AuditUnavailableError
from pqtransfer.operations.alert_records import AlertState
from pqtransfer.operations.alerts import AlertSeverity
from pqtransfer.operations.channels import Sent
from pqtransfer.operations.deliveries import CLAIMED_FOR, TRIES_AT_MOST, PageKind
from pqtransfer.operations.notifications import write_pagerduty
from pqtransfer.operations.recovery import RecoveryKind, RecoveryOutcome
from tests.fakes.crashes import CrashError
from tests.unit.functions.process_alerts.world import World
from tests.unit.operations.alert_samples import NOW, after, cleared, make_signal
from tests.unit.operations.event_samples import SERVICE, TASK, make_alarm, make_alert, make_deployment, make_task


@pytest.fixture
def world() -> World:
    return World()


def test_an_event_becomes_an_alert_that_people_are_told_of(world: World) -> None:
    """Over each channel once, and every step is on record."""
    assert world.service().take(json.dumps(make_alert()))
    assert [channel for channel, *_ in world.sender.sent] == ["email", "oncall"]
    assert world.store.only.deliveries == ()
    assert dict(world.trail.actions) == {"alert.raise": 1, "alert.notify": 2}
    raised = world.trail.find("alert.raise")
    assert raised.target.id == world.store.only.alert_id
    assert raised.details["code"] == "key-compromised"


def test_the_same_event_again_tells_nobody(world: World) -> None:
    """Queues deliver at least once."""
    for _ in range(3):
        world.service().take(json.dumps(make_alarm("ALARM")))
    assert world.sender.kinds() == ["raised"]
    world.service().take(json.dumps(make_alarm("OK") | {"id": "other", "time": "2026-03-01T12:00:01Z"}))


def test_an_event_of_an_unknown_shape_is_kept_and_counted(world: World) -> None:
    """As it came; and there is one alert for its shape."""
    for number in range(3):
        world.service().take(json.dumps({**make_alert(), "id": f"e-{number}", "detail": {"number": number}}))
    assert not world.service().take("this is no JSON")
    assert len(world.store.unknown) == 4
    assert "this is no JSON" in {body for body, *_ in world.store.unknown.values()}
    counted = {each.lead.details["shape"]: each.lead.count for each in world.store.list_open()}
    assert counted == {"pqtransfer/AlertRaised": 3, "not an event": 1}


def test_somebody_faster_is_not_overwritten(world: World) -> None:
    """What was decided on what is true no more is decided again."""
    world.store.overtake = lambda: world.service().take_signal(make_signal("faster"))  # type: ignore[assignment, return-value]
    world.service().take_signal(make_signal("slower"))
    assert {each.key for each in world.store.only.members} == {"faster", "slower"}
    assert world.sender.kinds() == ["raised"]


def test_nothing_is_written_that_is_not_on_record(world: World) -> None:
    """An alert without its event would be one that nobody can prove."""
    world.trail.failure = AuditUnavailableError("full")
    with pytest.raises(AuditUnavailableError):
        world.service().take_signal(make_signal())
    assert world.store.records == {}


def test_a_channel_that_fails_is_tried_again(world: World) -> None:
    """By the clock, later each time; the others are not told twice."""
    world.sender.answers["oncall"] = [Sent(error="it answers 500")] * 3
    world.service().take_signal(make_signal())
    (waiting,) = world.store.only.deliveries
    assert (waiting.channel, waiting.tries, waiting.last_error) == ("oncall", 1, "it answers 500")
    world.run_until(after(minutes=10))
    assert world.sender.kinds("email") == ["raised"]
    assert world.sender.kinds("oncall") == ["raised"] * 4
    assert world.store.only.deliveries == ()


def test_a_channel_says_when_it_wants_to_be_asked_again(world: World) -> None:
    """`Retry-After` is honoured; an hour at most."""
    world.sender.answers["oncall"] = [Sent(error="it answers 429", retry_after=timedelta(minutes=9))]
    world.service().take_signal(make_signal())
    world.run_until(after(minutes=8))
    assert world.sender.kinds("oncall") == ["raised"]
    world.run_until(after(minutes=11))
    assert world.sender.kinds("oncall") == ["raised"] * 2


@pytest.mark.parametrize(
    ("answers", "tries"),
    [([Sent(error="no answer")] * 50, TRIES_AT_MOST), ([Sent(error="it answers 404", is_final=True)], 1)],
)
def test_a_channel_that_is_down_is_given_up_with_an_alert(world: World, answers: list[Sent], tries: int) -> None:
    """Which is told over the channels that are left."""
    world.sender.answers["oncall"] = list(answers)
    world.service().take_signal(make_signal(severity=AlertSeverity.HIGH))
    world.service().acknowledge(world.store.only.alert_id, by="jo", is_over=False)
    world.sender.answers["oncall"] += [Sent(error="no answer")] * 50
    world.run_until(after(hours=6))
    told = [delivery for name, delivery, _ in world.sender.sent if name == "oncall" and delivery.kind == "raised"]
    assert len(told) == tries
    alert = world.alerts.raised[0]
    assert (alert.code, alert.key) == ("notification-failed", "notification-failed:oncall")
    world.sender.sent.clear()
    world.service().take(json.dumps({**make_alert(), "detail": json.loads(alert.model_dump_json())}))
    assert {name for name, *_ in world.sender.sent} == {"email"}


def test_a_run_that_dies_while_it_tells_is_followed_by_another(world: World) -> None:
    """Not before its claim is over; and what it told is told again under the same number."""

    def die(*_: object) -> Sent:
        raise CrashError

    service = world.service()
    original, world.sender.send = world.sender.send, die  # type: ignore[method-assign, assignment]
    with pytest.raises(CrashError):
        service.take_signal(make_signal())
    world.sender.send = original  # type: ignore[method-assign]
    world.run_until(after(minutes=2))
    assert world.sender.sent == []
    world.run_until(after(minutes=5))
    assert world.sender.kinds() == ["raised"]
    assert [delivery.number for _, delivery, _ in world.sender.sent] == [1, 1]


@pytest.mark.requirement("D3.5")
def test_an_unhealthy_task_is_replaced_before_people_are_told(world: World) -> None:
    """Once; they hear what was tried. When it is healthy again, it is over."""
    world.service().take(json.dumps(make_task(healthStatus="UNHEALTHY")))
    assert world.recoverer.done == [(RecoveryKind.REPLACE_TASK, TASK)]
    _, _, told = world.sender.sent[0]
    assert [each.outcome for each in told.recoveries] == [RecoveryOutcome.DONE]
    stopped = make_task(lastStatus="STOPPED", stopCode="UserInitiated", updatedAt="2026-03-01T12:01:00Z")
    world.at = after(minutes=1)
    world.service().take(json.dumps({**stopped, "id": "stopped"}))
    assert world.store.only.state is AlertState.RESOLVED
    assert world.sender.kinds() == ["raised", "resolved"]
    assert world.trail.actions["recovery.replace-task"] == 2  # before it, and how it ended


@pytest.mark.requirement("D3.5")
def test_a_recovery_that_does_not_help_escalates_and_does_not_loop(world: World) -> None:
    """People are told once that it was tried, and it is left to them."""
    world.service().take(json.dumps(make_deployment("FAILED")))
    world.run_until(after(hours=7))
    assert world.recoverer.done[0] == (RecoveryKind.ROLL_BACK, SERVICE)
    assert len(world.recoverer.done) <= 2  # the limit is one in six hours
    assert "escalated" in world.sender.kinds()
    assert "roll-back" in "".join(str(each) for each in world.store.only.recoveries)


def test_a_recovery_that_fails_is_on_record(world: World) -> None:
    """And so is why."""
    world.recoverer.failure = AuditUnavailableError("nothing answers")
    world.service().take(json.dumps(make_task(healthStatus="UNHEALTHY")))
    (tried,) = world.store.only.recoveries
    assert tried.outcome is RecoveryOutcome.FAILED
    assert "nothing answers" in tried.said


def test_messages_are_redriven_once_the_cause_is_gone(world: World) -> None:
    """Not while a function or the fleet is ill: they would be given up again."""
    world.service().take_signal(make_signal("ill", cause="function:x"))
    given_up = make_signal("dead", cause="queue:dead", code="messages-given-up", details={"queue": "dead"})
    world.service().take_signal(given_up)
    world.run_until(after(minutes=10))
    assert world.recoverer.done == []
    world.service().take_signal(cleared("ill", cause="function:x", at=world.at))
    world.run_until(after(minutes=14))
    assert world.recoverer.done == [(RecoveryKind.REDRIVE, "dead")]


def test_orders_of_operators(world: World) -> None:
    """An acknowledgement says by whom; a silence ends; what is no order is refused."""
    world.service().take_signal(make_signal())
    alert_id = world.store.only.alert_id
    order = {"action": "acknowledge", "alert_id": alert_id, "by": "arn:jo", "is_over": False}
    assert answer_order(order, world.service())["alert"]["state"] == "acknowledged"  # type: ignore[index, call-overload]
    assert world.trail.find("alert.ack").actor == "arn:jo"
    ended = answer_order({**order, "is_over": True}, world.service())
    assert ended["alert"]["state"] == "resolved"  # type: ignore[index, call-overload]
    silence = {
        "silence_id": "s-1",
        "code": "function-failing",
        "reason": "maintenance",
        "made_by": "arn:jo",
        "made_at": NOW.isoformat(),
        "expires_at": after(hours=1).isoformat(),
    }
    assert answer_order({"action": "silence", "silence": silence}, world.service()) == {"silence_id": "s-1"}
    assert world.trail.find("alert.silence").actor == "arn:jo"
    world.sender.sent.clear()
    world.service().take_signal(make_signal(at=after(minutes=5)))
    assert world.sender.sent == []
    answer_order({"action": "end-silence", "silence_id": "s-1", "by": "arn:jo"}, world.service())
    assert world.store.silences == {}
    assert world.sender.kinds() == ["raised"]  # what was silenced, and is still so
    assert world.trail.find("alert.unsilence").actor == "arn:jo"
    for wrong in ({"action": "acknowledge"}, {"action": "other"}, {}, {**order, "alert_id": "ab" * 10}):
        assert "error" in answer_order(wrong, world.service())


def test_one_alert_that_cannot_be_gone_on_with_holds_up_no_other(world: World) -> None:
    """The clock goes on, and says at the end that it failed."""
    for number in range(3):
        world.service().take_signal(make_signal(f"k-{number}", cause=f"c-{number}"))
    world.at = after(hours=1)
    original = world.store.find

    def find(alert_id: str) -> object:
        if alert_id == next(iter(world.store.records)):
            raise AuditUnavailableError("no answer")
        return original(alert_id)

    world.store.find = find  # type: ignore[method-assign, assignment]
    with pytest.raises(AuditUnavailableError):
        world.service().tick()
    assert world.sender.kinds().count("escalated") == 2


@pytest.mark.parametrize("broken", ["look", "list_open"])
def test_a_look_that_fails_does_not_stop_the_clock(world: World, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """What is due is gone on with first; and the run counts as failed."""

    def fail(*_: object, **__: object) -> object:
        raise AuditUnavailableError("throttled")

    world.service().take_signal(make_signal())
    world.at = after(hours=1)
    monkeypatch.setattr(world.watch if broken == "look" else world.store, broken, fail)
    with pytest.raises(AuditUnavailableError):
        world.service().tick()
    assert "escalated" in world.sender.kinds()


def test_what_was_seen_and_cannot_be_taken_holds_up_nothing_else(world: World) -> None:
    """The rest is taken, and the run counts as failed."""
    first, second = make_signal("a", cause="a"), make_signal("b", cause="b")
    world.watch.signals = [first, second]
    original = world.store.find

    def find(alert_id: str) -> object:
        if alert_id == first.alert_id:
            raise AuditUnavailableError("no answer")
        return original(alert_id)

    world.store.find = find  # type: ignore[method-assign, assignment]
    with pytest.raises(AuditUnavailableError):
        world.service().tick()
    assert set(world.store.records) == {second.alert_id}


def test_a_page_is_sent_once_however_long_the_audit_log_does_not_answer(world: World) -> None:
    """That it was sent is recorded when the log answers again."""
    trail, original = world.trail, world.sender.send

    def send(*arguments: object) -> Sent:
        trail.failure = AuditUnavailableError("the queue does not answer")
        return original(*arguments)  # type: ignore[arg-type]

    world.sender.send = send  # type: ignore[method-assign, assignment]
    with pytest.raises(AuditUnavailableError):
        world.service().take_signal(make_signal())
    for _ in range(2):
        world.at += CLAIMED_FOR
        with pytest.raises(AuditUnavailableError):
            world.service().tick()
    assert world.sender.kinds() == world.sender.kinds("oncall") == ["raised"]
    assert trail.actions["alert.notify"] == 0
    trail.failure = None
    world.sender.send = original  # type: ignore[method-assign]
    world.service().acknowledge(world.store.only.alert_id, by="jo", is_over=False)
    world.at += timedelta(minutes=31)
    world.service().tick()
    assert world.sender.kinds() == ["raised"]
    assert trail.actions["alert.notify"] == 3  # both that were sent, and the acknowledgement on call
    assert world.store.only.deliveries == ()


def test_a_page_that_ends_every_run_is_given_up(world: World) -> None:
    """It was claimed as often as is allowed; nobody came back to say how that ended."""

    def die(*_: object) -> Sent:
        raise CrashError

    original, world.sender.send = world.sender.send, die  # type: ignore[method-assign, assignment]
    with pytest.raises(CrashError):
        world.service().take_signal(make_signal())
    deliveries = tuple(each.model_copy(update={"tries": TRIES_AT_MOST}) for each in world.store.only.deliveries)
    world.store.records[world.store.only.alert_id] = world.store.only.change(deliveries=deliveries)
    world.sender.send = original  # type: ignore[method-assign]
    world.at += CLAIMED_FOR
    world.service().tick()
    assert world.sender.sent == []
    assert [each.details["channel"] for each in world.alerts.raised] == ["email", "oncall"]
    assert world.store.only.deliveries == ()


def test_that_a_channel_is_given_up_is_said_after_it_is_written(world: World) -> None:
    """An alert bus that does not answer has no page sent again."""
    world.sender.answers["oncall"] = [Sent(error="it answers 404", is_final=True)] * 2

    def fail(*_: object) -> None:
        raise AuditUnavailableError("no bus")

    world.alerts.raise_alert = fail  # type: ignore[method-assign]
    with pytest.raises(AuditUnavailableError):
        world.service().take_signal(make_signal())
    assert world.store.only.deliveries == ()


def test_an_end_that_could_not_be_told_outlives_a_reopening(world: World) -> None:
    """It is told later, of the occurrence that ended: it closes no other."""
    world.service().take_signal(make_signal())
    first = world.store.only.occurrence
    world.sender.answers["oncall"] = [Sent(error="it answers 500")]
    world.at = after(minutes=1)
    world.service().take_signal(cleared(at=world.at))
    world.at = after(minutes=1, seconds=10)
    world.service().take_signal(make_signal(at=world.at))
    assert world.store.only.occurrence != first
    world.run_until(after(minutes=4))
    told = [(delivery.kind, delivery.occurrence) for name, delivery, _ in world.sender.sent if name == "oncall"]
    assert told == [
        (PageKind.RAISED, first),
        (PageKind.RESOLVED, first),
        (PageKind.RAISED, world.store.only.occurrence),
        (PageKind.RESOLVED, first),
    ]
    _, late, record = world.sender.sent[-1]
    assert write_pagerduty(record, late, environment="dev", routing_key="k")["dedup_key"] == f"pqtransfer-dev-{first}"
    assert name_delivery(record, late) == f"{first}-{late.number}-oncall"
