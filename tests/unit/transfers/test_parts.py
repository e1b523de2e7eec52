"""Parts run in order, several in flight, in bounded memory; failures and stops end the run promptly."""

import threading
import time

import pytest

from pqtransfer.transfers.ordered_hash import OrderedHash
from pqtransfer.transfers.parts import (
    DEFAULT_BUFFER_BUDGET_BYTES,
    StoppedError,
    StopSignal,
    count_parts_in_flight,
    run_parts,
)

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("part_size_mib", "in_flight"),
    [(1, 6), (16, 6), (32, 4), (33, 3), (64, 2), (127, 1), (128, 1)],
)
def test_buffers_stay_within_the_budget(part_size_mib: int, in_flight: int) -> None:
    """The formula at the head of parts.py, for the sizes that manifests allow."""
    count = count_parts_in_flight(part_size_mib * MEBIBYTE)
    assert count == in_flight
    assert count * 2 * part_size_mib * MEBIBYTE <= DEFAULT_BUFFER_BUDGET_BYTES


@pytest.mark.parametrize("parts_in_flight", [1, 2, 6])
def test_every_part_runs_once_and_starts_in_order(parts_in_flight: int) -> None:
    """However many threads there are."""
    started: list[int] = []
    run_parts(
        range(50),
        lambda index: started.append(index),
        parts_in_flight=parts_in_flight,
        stop=StopSignal(),
    )
    assert sorted(started) == list(range(50))
    if parts_in_flight == 1:
        assert started == list(range(50))


def test_no_more_than_the_allowed_parts_are_in_flight() -> None:
    """That bounds the memory."""
    running, most = set(), [0]
    lock = threading.Lock()

    def process(index: int) -> None:
        with lock:
            running.add(index)
            most[0] = max(most[0], len(running))
        time.sleep(0.002)
        with lock:
            running.remove(index)

    run_parts(range(20), process, parts_in_flight=3, stop=StopSignal())
    assert most[0] <= 3


def test_a_failure_starts_no_further_part_and_is_raised() -> None:
    """Parts in flight are waited for."""
    started: list[int] = []

    def process(index: int) -> None:
        started.append(index)
        if index == 3:
            raise ValueError("part 3")

    with pytest.raises(ValueError, match="part 3"):
        run_parts(range(1000), process, parts_in_flight=2, stop=StopSignal())
    assert len(started) < 10


def test_memory_that_cannot_be_had_is_a_failure() -> None:
    """A run that did nothing is never taken for a success."""
    with pytest.raises(MemoryError):
        run_parts(range(3), lambda _index: bytearray(1 << 62), parts_in_flight=2, stop=StopSignal())


def test_a_stop_raises_its_reason_after_the_parts_in_flight() -> None:
    """The first reason counts."""
    stop, done = StopSignal(), []

    def process(index: int) -> None:
        if index == 2:
            stop.stop(StoppedError("first"))
            stop.stop(StoppedError("second"))
        done.append(index)

    with pytest.raises(StoppedError, match="first"):
        run_parts(range(100), process, parts_in_flight=1, stop=stop)
    assert done == [0, 1, 2]
    assert stop.is_set


@pytest.mark.parametrize("threads", [1, 4])
def test_parts_are_hashed_in_order(threads: int) -> None:
    """Whoever brings them, the digest is that of the whole."""
    ordered = OrderedHash()
    run_parts(
        range(40),
        lambda index: ordered.add(index, [b"%d" % index, b","]),
        parts_in_flight=threads,
        stop=StopSignal(),
    )
    whole = OrderedHash()
    whole.add(0, [b"".join(b"%d," % index for index in range(40))])
    assert ordered.digest() == whole.digest()


def test_a_failure_lets_waiting_threads_go_and_is_the_one_that_is_raised() -> None:
    """No thread waits for ever for a turn that does not come."""
    for _ in range(50):
        ordered = OrderedHash()

        def process(index: int, ordered: OrderedHash = ordered) -> None:
            if index == 0:
                time.sleep(0.001)
                raise ValueError("the reason")
            ordered.add(index, [b""])

        with pytest.raises(ValueError, match="the reason"):
            run_parts(
                range(8),
                process,
                parts_in_flight=4,
                stop=StopSignal(),
                on_failure=ordered.abandon,
            )


def test_an_interrupt_of_the_caller_starts_no_further_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C does not wait until all of a 20 GB model is done."""
    started: list[int] = []

    def interrupted(*_args: object, **_keywords: object) -> None:
        while len(started) < 3:
            time.sleep(0.001)
        raise KeyboardInterrupt

    def process(index: int) -> None:
        started.append(index)
        time.sleep(0.005)

    monkeypatch.setattr("pqtransfer.transfers.parts.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_parts(range(1000), process, parts_in_flight=2, stop=StopSignal())
    assert len(started) < 20
