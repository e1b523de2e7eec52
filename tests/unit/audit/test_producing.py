"""What a producer promises: numbers without a hole or a repetition, and nothing acknowledged that is not durable."""

import time
from collections.abc import Sequence
from itertools import count
from threading import Event, Thread

import pytest

from pqtransfer.audit import producing
from pqtransfer.audit.errors import EventTooLargeError
from pqtransfer.audit.events import EVENT_LIMIT_BYTES, AuditEvent, AuditFacts, EventKind, Target
from pqtransfer.audit.producing import ProducerTrail, SpoolRefusedError, make_producer_name
from pqtransfer.audit.trail import AuditUnavailableError
from tests.fakes.audit_queues import InMemoryEventSink

FACTS = AuditFacts(
    kind=EventKind.KEY,
    action="key.create",
    actor="site-a",
    target=Target(type="key", id="k"),
    succeeded=True,
    correlation_id="round-7",
)


class MemorySpool:
    """A spool that is full on demand."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.is_full = False

    def append(self, entries: Sequence[bytes]) -> None:
        if self.is_full:
            raise SpoolRefusedError("full")
        self.kept += entries


def make_trail(sink: InMemoryEventSink, **more: object) -> ProducerTrail:
    ids = count(1)
    fields = {"now_ms": lambda: 1_780_000_000_000, "make_id": lambda: f"0198c0de-0000-7000-8000-{next(ids):012x}"}
    return ProducerTrail("worker/a", sink=sink, **{**fields, **more})  # type: ignore[arg-type]


def numbers(entries: Sequence[bytes]) -> list[int]:
    return [AuditEvent.from_json(entry).sequence for entry in entries]


@pytest.mark.requirement("D7.1", "S4.1")
def test_events_are_numbered_and_say_who_and_when() -> None:
    """Each is a whole event of the log when `record` returns, in the order in which it was told."""
    sink = InMemoryEventSink()
    trail = make_trail(sink)
    trail.record(FACTS, FACTS.model_copy(update={"actor": "site-b"}))
    trail.record()
    trail.record(FACTS)
    events = [AuditEvent.from_json(entry) for entry in sink.sent]
    assert [(event.sequence, event.actor) for event in events] == [(1, "site-a"), (2, "site-b"), (3, "site-a")]
    assert {event.producer for event in events} == {"worker/a"}
    assert len({event.event_id for event in events}) == 3


@pytest.mark.requirement("N10")
def test_nothing_is_acknowledged_while_the_queue_is_down() -> None:
    """Without a spool the caller is told; what may have arrived keeps its number, and goes first the next time."""
    sink = InMemoryEventSink()
    trail = make_trail(sink)
    sink.is_down = True
    for _ in range(3):
        with pytest.raises(AuditUnavailableError):
            trail.record(FACTS)
    sink.is_down = False
    trail.record(FACTS)
    assert numbers(sink.sent) == [1, 2]


def test_an_answer_that_was_lost_is_sent_again_as_it_was() -> None:
    """The same bytes, which the log recognizes: never the same number for something else."""
    sink = InMemoryEventSink()
    trail = make_trail(sink)
    sink.loses_answer = True
    with pytest.raises(AuditUnavailableError):
        trail.record(FACTS)
    sink.loses_answer = False
    trail.record(FACTS)
    assert numbers(sink.sent) == [1, 1, 2]
    assert sink.sent[0] == sink.sent[1]


@pytest.mark.requirement("N10")
def test_with_a_spool_the_queue_may_be_down() -> None:
    """And when the spool takes nothing, the queue may still."""
    sink, spool = InMemoryEventSink(), MemorySpool()
    trail = make_trail(sink, spool=spool)
    sink.is_down = True
    trail.record(FACTS)
    spool.is_full = True
    with pytest.raises(AuditUnavailableError):
        trail.record(FACTS)
    sink.is_down = False
    trail.record(FACTS)
    assert (numbers(spool.kept), numbers(sink.sent)) == ([1], [2, 3])
    spool.is_full = False
    trail.record(FACTS)
    assert numbers(spool.kept) == [1, 4]


def test_an_event_that_is_too_large_uses_up_no_number() -> None:
    """It is refused with everything that was to be recorded with it."""
    sink = InMemoryEventSink()
    trail = make_trail(sink)
    with pytest.raises(EventTooLargeError):
        trail.record(FACTS, FACTS.model_copy(update={"details": {"a": "x" * EVENT_LIMIT_BYTES}}))
    trail.record(FACTS)
    assert numbers(sink.sent) == [1]


def test_an_event_says_where_its_producer_is_unless_it_says_where_it_came_from() -> None:
    """What is known of a caller says more than where the call was answered."""
    sink = InMemoryEventSink()
    trail = make_trail(sink, source_address="10.0.17.4")
    trail.record(FACTS, FACTS.model_copy(update={"source_address": "192.0.2.7"}))
    make_trail(sink).record(FACTS)
    assert [AuditEvent.from_json(entry).source_address for entry in sink.sent] == ["10.0.17.4", "192.0.2.7", None]


def test_times_never_run_backwards() -> None:
    """A clock that is set back gives the last time again."""
    sink, times = InMemoryEventSink(), iter([2_000, 1_000, 3_000])
    trail = make_trail(sink, now_ms=lambda: next(times))
    for _ in range(3):
        trail.record(FACTS)
    assert [AuditEvent.from_json(entry).time_ms for entry in sink.sent] == [2_000, 2_000, 3_000]


def test_threads_share_one_producer() -> None:
    """Numbers have no hole and no repetition, and arrive in their order."""
    sink = InMemoryEventSink()
    trail = make_trail(sink)
    threads = [Thread(target=lambda: [trail.record(FACTS) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(sink.sent) == list(range(1, 401))


class SlowSink(InMemoryEventSink):
    """A sink whose first message waits until it is let go; it keeps how many events each message had."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.let_go = Event(), Event()
        self.counts: list[int] = []

    def send(self, entries: Sequence[bytes]) -> None:
        self.counts.append(len(entries))
        self.entered.set()
        assert self.let_go.wait(90)
        super().send(entries)


def wait_for_calls(trail: ProducerTrail, count: int) -> None:
    """Until so many wait for their turn."""
    deadline = time.monotonic() + 90
    while len(trail._calls) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def record_behind_one(trail: ProducerTrail, sink: SlowSink, facts: Sequence[AuditFacts]) -> list[Exception | None]:
    """While the first event is on its way, each of the others is recorded by a thread of its own; how they went."""
    outcomes: list[Exception | None] = [None] * (len(facts) + 1)

    def record(place: int, each: AuditFacts) -> None:
        try:
            trail.record(each)
        except Exception as error:  # noqa: BLE001 - looked at below
            outcomes[place] = error

    threads = [Thread(target=record, args=(0, FACTS))]
    threads[0].start()
    assert sink.entered.wait(90)
    for place, each in enumerate(facts, start=1):
        threads.append(Thread(target=record, args=(place, each)))
        threads[-1].start()
        wait_for_calls(trail, place)
    sink.let_go.set()
    for thread in threads:
        thread.join()
    return outcomes


def test_threads_that_wait_share_a_message() -> None:
    """As far as a message has room; so a slow queue takes more of them at once, and holds up nobody longer."""
    sink = SlowSink()
    trail = make_trail(sink)
    assert record_behind_one(trail, sink, [FACTS] * 60) == [None] * 61
    assert sink.counts == [1, 48, 12]
    assert numbers(sink.sent) == list(range(1, 62))


def test_who_is_done_does_not_wait_for_those_behind() -> None:
    """Its message is taken: the next one may be on its way for as long as it likes."""
    sink = SlowSink()
    trail = make_trail(sink)
    first = Thread(target=trail.record, args=(FACTS,))
    first.start()
    assert sink.entered.wait(90)
    second = Thread(target=trail.record, args=(FACTS,))
    second.start()
    wait_for_calls(trail, 1)
    let_second_go, send = Event(), sink.send

    def send_slowly(entries: Sequence[bytes]) -> None:
        assert let_second_go.wait(90)
        send(entries)

    sink.send = send_slowly  # type: ignore[method-assign]
    sink.let_go.set()
    first.join(90)
    assert not first.is_alive()
    assert second.is_alive()
    let_second_go.set()
    second.join(90)
    assert numbers(sink.sent) == [1, 2]


@pytest.mark.parametrize("is_leading", [False, True])
def test_one_that_is_torn_out_of_the_line_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, is_leading: bool) -> None:
    """A signal, while it waits for its turn, or when that has just come: those behind it go on."""
    sink = SlowSink()
    trail = make_trail(sink)
    first = Thread(target=trail.record, args=(FACTS,))
    first.start()
    assert sink.entered.wait(90)
    with monkeypatch.context() as patch:
        patch.setattr(producing, "_Call", lambda facts: TornCall(facts, sink, is_leading=is_leading))
        with pytest.raises(KeyboardInterrupt):
            trail.record(FACTS)
    sink.let_go.set()
    first.join(90)
    assert not first.is_alive()
    trail.record(FACTS)
    assert numbers(sink.sent) == [1, 2]


class TornCall(producing._Call):
    """A call whose thread gets a signal: while it waits, or when it has just been told to lead."""

    def __init__(self, facts: Sequence[AuditFacts], sink: SlowSink, *, is_leading: bool) -> None:
        super().__init__(facts)
        self._sink, self._is_leading = sink, is_leading
        self.awake = self  # type: ignore[assignment]

    def wait(self) -> None:
        if self._is_leading:
            self._sink.let_go.set()
        deadline = time.monotonic() + 90
        while self._is_leading and not self.leads:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        raise KeyboardInterrupt

    def set(self) -> None:
        """It is told by `leads`."""


def test_one_that_cannot_be_written_holds_no_other_up() -> None:
    """It alone is refused, and uses up no number."""
    sink = SlowSink()
    trail = make_trail(sink)
    large = FACTS.model_copy(update={"details": {"a": "x" * EVENT_LIMIT_BYTES}})
    outcomes = record_behind_one(trail, sink, [FACTS, large, FACTS])
    assert [type(each) for each in outcomes] == [type(None), type(None), EventTooLargeError, type(None)]
    assert numbers(sink.sent) == [1, 2, 3]


@pytest.mark.requirement("N10")
def test_what_fails_for_one_message_fails_for_all_in_it() -> None:
    """Nobody is told that something is durable which is not; it goes first the next time."""
    sink = SlowSink()
    trail = make_trail(sink)
    sink.is_down = True
    outcomes = record_behind_one(trail, sink, [FACTS] * 5)
    assert {type(each) for each in outcomes} == {AuditUnavailableError}
    sink.is_down = False
    trail.record(FACTS)
    assert numbers(sink.sent) == [1, 2]


def test_a_thread_that_is_torn_away_leaves_nobody_acknowledged() -> None:
    """Whatever ends the one that sends: who waited with it is told that nothing is known."""
    sink = SlowSink()
    trail = make_trail(sink)
    send = sink.send

    def tear(entries: Sequence[bytes]) -> None:
        send(entries)
        if len(sink.counts) == 2:
            raise MemoryError

    sink.send = tear  # type: ignore[method-assign]
    outcomes = record_behind_one(trail, sink, [FACTS] * 3)
    assert sorted(type(each).__name__ for each in outcomes[1:]) == [
        "AuditUnavailableError", "AuditUnavailableError", "MemoryError",
    ]  # fmt: skip


def test_every_instance_is_a_producer_of_its_own() -> None:
    """Names are such as the log takes, and never given twice."""
    names = {make_producer_name("register_participant") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        AuditEvent(**dict(FACTS), producer=name, sequence=1, event_id="0198c0de-0000-7000-8000-000000000001", time_ms=1)
