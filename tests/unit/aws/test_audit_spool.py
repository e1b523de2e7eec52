"""What a spool promises: what it took is there after any crash, in order, until it was sent; and it has one user."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.audit.events import AuditFacts, EventKind, Target
from pqtransfer.audit.messages import EVENTS_AT_MOST
from pqtransfer.audit.positions import RECENT_EVENTS
from pqtransfer.audit.producing import ProducerTrail, SpoolRefusedError
from pqtransfer.aws.audit_forwarding import SpoolForwarder
from pqtransfer.aws.audit_spool import EVENTS_BEGIN, FRAME, MARKS_BETWEEN_SYNCS, STEP_BYTES, SpoolFile, find_spools
from tests.fakes.audit_queues import InMemoryEventSink

LIMIT = 4 << 20
PATIENCE_SECONDS = 10.0


def make_entries(first: int, count: int) -> list[bytes]:
    return [b"event %d" % number for number in range(first, first + count)]


def abandon(spool: SpoolFile) -> Path:
    """The process dies: its lock goes, its file stays."""
    os.close(spool._file)
    return spool.path


def read_all(spool: SpoolFile) -> list[bytes]:
    return list(spool.read_pending(events_at_most=10**6).entries)


def take_over(path: Path) -> SpoolFile:
    spool = SpoolFile.take_over(path)
    assert spool is not None
    return spool


def test_what_was_kept_is_there_for_the_next_process(tmp_path: Path) -> None:
    """In order, without what was sent before; and the file goes when everything was sent."""
    spool = SpoolFile.create(tmp_path)
    spool.append(make_entries(1, 3))
    spool.mark_sent(spool.read_pending(events_at_most=2))
    spool.append(make_entries(4, 1))
    again = take_over(abandon(spool))
    events = again.read_pending(events_at_most=10)
    assert events.entries == make_entries(3, 2)
    again.mark_sent(events)
    again.close()
    assert not find_spools(tmp_path)


def test_a_spool_has_one_user(tmp_path: Path) -> None:
    """While its producer lives nobody takes it over, and of two that try afterwards one gets it."""
    spool = SpoolFile.create(tmp_path)
    assert SpoolFile.take_over(spool.path) is None
    path = abandon(spool)
    first = take_over(path)
    assert SpoolFile.take_over(path) is None
    first.close()
    assert SpoolFile.take_over(path) is None


@pytest.mark.parametrize("at", [0, 1, FRAME.size - 1, FRAME.size, FRAME.size + 3])
def test_a_torn_end_is_no_event(tmp_path: Path, at: int) -> None:
    """A crash within a write leaves what was written before it, whole."""
    spool = SpoolFile.create(tmp_path)
    spool.append(make_entries(1, 2))
    end = spool._end
    spool.append(make_entries(3, 1))
    path = abandon(spool)
    with path.open("r+b") as file:
        file.seek(end + at)
        file.write(bytes(100))
    assert read_all(take_over(path)) == make_entries(1, 2)


def test_a_file_that_was_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    """Also one whose maker died before it had a head."""
    spool = SpoolFile.create(tmp_path)
    spool.append(make_entries(1, 3))
    path, end = abandon(spool), spool._end
    data = path.read_bytes()
    for length in (0, 100, 600, EVENTS_BEGIN, EVENTS_BEGIN + 5, end - 1):
        path.write_bytes(data[:length])
        cut = take_over(path)
        assert read_all(cut) == make_entries(1, 2 if length == end - 1 else 0)
        abandon(cut)


def test_a_torn_cursor_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """Then some events are sent again, and none is lost."""
    spool = SpoolFile.create(tmp_path)
    spool.append(make_entries(1, 3))
    for _ in range(2):
        spool.mark_sent(spool.read_pending(events_at_most=1))
    path = abandon(spool)
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"torn")
    assert read_all(take_over(path)) == make_entries(2, 2)


def test_a_drained_spool_begins_anew(tmp_path: Path) -> None:
    """Its size stays as it is, and nothing of the older events ever comes back."""
    spool = SpoolFile.create(tmp_path)
    large = [bytes([number]) * 30_000 for number in range(1, 31)]
    for _ in range(5):
        spool.append(large)
        spool.mark_sent(spool.read_pending(events_at_most=100))
        assert spool.is_drained
    assert spool.path.stat().st_size == STEP_BYTES
    spool.append([b"last"])
    assert read_all(take_over(abandon(spool))) == [b"last"]


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """It says so before it writes anything; and takes events again when it was emptied."""
    spool = SpoolFile.create(tmp_path, limit_bytes=STEP_BYTES)
    entries = [b"x" * 30_000] * 34
    spool.append(entries)
    with pytest.raises(SpoolRefusedError, match="limit"):
        spool.append([b"x" * 30_000])
    spool.mark_sent(spool.read_pending(events_at_most=100))
    spool.append([b"again"])
    assert read_all(spool) == [b"again"]


def test_a_directory_that_takes_nothing_is_told(tmp_path: Path) -> None:
    """By name, and at the start."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolRefusedError, match="file"):
        SpoolFile.create(tmp_path / "file")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["append", "send", "die"]), st.integers(1, 20)), max_size=40))
def test_every_event_is_sent_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    """Whatever is appended, sent, and cut off by a death: nothing is lost, nothing out of order."""
    spool = SpoolFile.create(tmp_path_factory.mktemp("spool"), limit_bytes=LIMIT)
    kept, sent = list[bytes](), list[bytes]()
    for step, number in steps:
        if step == "append" and spool._limit_bytes:
            entries = make_entries(len(kept), number)
            spool.append(entries)
            kept += entries
        elif step == "send":
            events = spool.read_pending(events_at_most=number)
            sent += events.entries
            spool.mark_sent(events)
        elif step == "die":
            spool = take_over(abandon(spool))
    sent += read_all(spool)
    assert sent == kept


@pytest.fixture
def sink() -> InMemoryEventSink:
    return InMemoryEventSink()


@pytest.fixture
def forwarder(tmp_path: Path, sink: InMemoryEventSink) -> Iterator[SpoolForwarder]:
    forwarder = SpoolForwarder(tmp_path, sink=sink, limit_bytes=LIMIT)
    yield forwarder
    forwarder.close()


def wait_for(sink: InMemoryEventSink, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(sink.sent) < count:
        assert time.monotonic() < deadline, f"{len(sink.sent)} of {count} events came"
        time.sleep(0.01)


@pytest.mark.requirement("N10")
def test_events_wait_while_the_queue_is_down_and_then_arrive(
    forwarder: SpoolForwarder, sink: InMemoryEventSink
) -> None:
    """In their order, without anybody's doing."""
    sink.is_down = True
    forwarder.start()
    for number in range(100):
        forwarder.append(make_entries(number, 1))
    assert sink.sent == []
    sink.is_down = False
    wait_for(sink, 100)
    assert sink.sent == make_entries(0, 100)


@pytest.mark.requirement("N10")
def test_a_later_process_sends_what_a_dead_one_left(
    tmp_path: Path, forwarder: SpoolForwarder, sink: InMemoryEventSink
) -> None:
    """Each file whole and in its order; a file whose producer lives is left alone."""
    alive, dead = SpoolFile.create(tmp_path), SpoolFile.create(tmp_path)
    alive.append([b"alive"])
    dead.append(make_entries(0, 60))
    abandon(dead)
    forwarder.append([b"mine"])
    forwarder.forward()
    assert sink.sent == [b"mine", *make_entries(0, 60)]
    assert set(find_spools(tmp_path)) == {alive.path, forwarder._spool.path}


@pytest.mark.requirement("N10")
def test_a_disk_that_fails_for_a_moment_does_not_end_the_sending(
    forwarder: SpoolForwarder, sink: InMemoryEventSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on, and brings what waited."""
    failures = [OSError(5, "Input/output error")]
    read = SpoolFile.read_pending

    def fail_once(spool: SpoolFile, *, events_at_most: int) -> Any:
        if failures:
            raise failures.pop()
        return read(spool, events_at_most=events_at_most)

    monkeypatch.setattr(SpoolFile, "read_pending", fail_once)
    forwarder.append(make_entries(0, 2))
    forwarder.start()
    wait_for(sink, 2)
    assert failures == []


def test_what_cannot_be_sent_at_the_end_stays(tmp_path: Path, sink: InMemoryEventSink) -> None:
    """Closing waits for the queue only so long."""
    sink.is_down = True
    forwarder = SpoolForwarder(tmp_path, sink=sink, limit_bytes=LIMIT)
    forwarder.start()
    forwarder.append(make_entries(0, 2))
    forwarder.close(within_seconds=1)
    (path,) = find_spools(tmp_path)
    assert read_all(take_over(path)) == make_entries(0, 2)


KILLED = """
import sys
from pathlib import Path
from pqtransfer.aws.audit_spool import SpoolFile
spool = SpoolFile.create(Path(sys.argv[1]))
for number in range(10**9):
    spool.append([b"event %d" % number])
    print(number, flush=True)
"""


@pytest.mark.requirement("D7.3", "N10")
def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    """SIGKILL at some moment: what `append` has returned for is in the file, and at most one event more."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    acknowledged = 50 + len(process.stdout.read().splitlines())
    process.wait()
    (path,) = find_spools(tmp_path)
    found = read_all(take_over(path))
    assert found == make_entries(0, len(found))
    assert acknowledged <= len(found) <= acknowledged + 1


@pytest.mark.requirement("N3")
def test_recording_adds_less_than_ten_milliseconds_to_a_request(
    forwarder: SpoolForwarder, sink: InMemoryEventSink
) -> None:
    """Of CPU time: number, canonical JSON, frame. What the disk takes besides is in `scripts/bench`, with the p99."""
    forwarder.start()
    trail = ProducerTrail("bench/1", sink=sink, spool=forwarder, now_ms=lambda: 1_780_000_000_000)
    facts = AuditFacts(
        kind=EventKind.KEY,
        action="key.create",
        actor="site-a",
        target=Target(type="key", id="k"),
        succeeded=True,
        correlation_id="round-7",
    )
    seconds = []
    for _ in range(300):
        started = time.thread_time()
        trail.record(facts)
        seconds.append(time.thread_time() - started)
    assert sorted(seconds)[150] < 0.010


def test_what_is_sent_again_after_a_crash_is_recognized() -> None:
    """At most as many events as the sequencer remembers of a producer."""
    assert MARKS_BETWEEN_SYNCS * EVENTS_AT_MOST <= RECENT_EVENTS
