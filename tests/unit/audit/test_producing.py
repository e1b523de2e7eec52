"""What a producer promises: numbers without a hole or a repetition, and nothing acknowledged that is not durable."""

from collections.abc import Sequence
from itertools import count
from threading import Thread

import pytest

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


def test_every_instance_is_a_producer_of_its_own() -> None:
    """Names are such as the log takes, and never given twice."""
    names = {make_producer_name("register_participant") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        AuditEvent(**dict(FACTS), producer=name, sequence=1, event_id="0198c0de-0000-7000-8000-000000000001", time_ms=1)
