"""What a worker publishes of itself: throughput, latency, errors and resources, and when a transfer is slow."""

from collections.abc import Iterator

import pytest

from pqtransfer.aws.failures import CloudUnavailableError
from pqtransfer.crypto.envelope import DamagedEnvelopeError, NotARecipientError
from pqtransfer.errors import PqtransferError
from pqtransfer.operations.metrics import (
    BYTES_TRANSFERRED,
    CPU_PERCENT,
    ERRORS,
    KEY_EXCHANGE_FAILURES,
    KEY_EXCHANGE_TIME,
    MEMORY_BYTES,
    MEMORY_PERCENT,
    NETWORK_RECEIVED,
    NETWORK_SENT,
    PART_LATENCY,
    POOL_SATURATION,
    SLOW_TRANSFERS,
    SOURCE_RATE,
    THROUGHPUT,
    TRANSFER_RATE,
    TRANSFERS_COMPLETED,
    TRANSFERS_FAILED,
    TRANSFERS_RETRIED,
    TRANSFERS_STARTED,
    WORKERS_BUSY,
    Metric,
)
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import TransferResult
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.request import TransferRequest
from pqtransfer.transfers.source_errors import SourceSizeError
from tests.unit.transfer_worker.conftest import RESULT, Fleet, make_request
from transfer_worker.measuring import MeasuringObserver
from transfer_worker.resources import ResourceUse

MEGABYTE = 10**6


def begin(fleet: Fleet, *, megabytes: int) -> ProgressMeter:
    meter = ProgressMeter(bytes_total=megabytes * MEGABYTE, parts_total=1, started_at=fleet.clock.monotonic())
    fleet.sampler.begin(make_request())
    fleet.sampler.watch(meter)
    return meter


def read_slices(fleet: Fleet, *, megabytes: int, seconds: float) -> None:
    """Read that much in one slice, which takes that long to come."""

    def slices() -> Iterator[bytes]:
        fleet.clock.advance(seconds)
        yield bytes(megabytes * MEGABYTE)

    for _ in fleet.measuring.reading(slices()):
        pass


@pytest.mark.requirement("D3.1")
def test_a_sample_says_what_is_done_and_what_it_takes(fleet: Fleet) -> None:
    """Bytes, rates, part latency, the pool, memory, CPU and network; with the transfer and its participant beside."""
    meter = begin(fleet, megabytes=300)
    with fleet.measuring.working(of=2):
        read_slices(fleet, megabytes=50, seconds=1)
        fleet.clock.advance(9)
        meter.add(50 * MEGABYTE, parts=1, at=fleet.clock.monotonic())
    fleet.use = ResourceUse(memory_bytes=850, cpu_seconds=5, received_bytes=70, sent_bytes=7)
    fleet.sampler.sample()
    (line,) = fleet.metrics.lines
    assert (line["worker"], line["participant"], line["correlation_id"]) == ("worker-1", "alice", "c")
    shown = {
        BYTES_TRANSFERRED: 50 * MEGABYTE,
        THROUGHPUT: 5.0,
        SOURCE_RATE: 100.0,  # 50 MB in 1 s, by each of two threads
        PART_LATENCY: 10_000.0,
        POOL_SATURATION: 50.0,
        WORKERS_BUSY: 1,
        MEMORY_BYTES: 850,
        MEMORY_PERCENT: 85.0,
        CPU_PERCENT: 25.0,  # 5 s of CPU in 10 s, on two
        NETWORK_RECEIVED: 70,
        NETWORK_SENT: 7,
        SLOW_TRANSFERS: 1,
    }
    assert {metric: fleet.metrics.values(metric) for metric in shown} == {
        metric: [pytest.approx(value)] for metric, value in shown.items()
    }


@pytest.mark.requirement("D3.2")
@pytest.mark.parametrize(
    ("done", "read", "reading_seconds", "slow"),
    [
        (999, 999, 1.0, [1.0]),  # just under 100 MB/s, and the source is fast
        (1000, 999, 1.0, [0.0]),
        (500, 500, 20.0, [0.0]),  # both threads waited for the source
        (0, 0, 20.0, [0.0]),  # the source gives nothing at all
    ],
)
def test_a_transfer_under_the_threshold_is_slow_unless_its_source_is(
    fleet: Fleet, done: int, read: int, reading_seconds: float, slow: list[float]
) -> None:
    """Over ten seconds, with two parts in flight."""
    meter = begin(fleet, megabytes=10_000)
    with fleet.measuring.working(of=2):
        fleet.clock.advance(10)
    fleet.measuring._counted.bytes_read, fleet.measuring._counted.seconds_reading = read * MEGABYTE, reading_seconds
    meter.add(done * MEGABYTE, parts=1, at=fleet.clock.monotonic())
    fleet.sampler.sample()
    assert fleet.metrics.values(SLOW_TRANSFERS) == slow


def test_a_source_that_stalls_makes_no_transfer_slow(fleet: Fleet) -> None:
    """Who waits for a slice that does not come has waited for the source, though the slice is not there yet."""
    meter = begin(fleet, megabytes=10_000)
    seen: list[list[float]] = []

    def slices() -> Iterator[bytes]:
        yield bytes(MEGABYTE)
        fleet.clock.advance(10)
        fleet.sampler.sample()
        seen.append(fleet.metrics.values(SLOW_TRANSFERS))
        yield bytes(MEGABYTE)

    with fleet.measuring.working(of=1):
        for _ in fleet.measuring.reading(slices()):
            meter.add(MEGABYTE, parts=1, at=fleet.clock.monotonic())
    assert seen == [[0.0]]


def test_a_short_while_says_nothing(fleet: Fleet) -> None:
    """Of a transfer that ends within ten seconds only its rate is known."""
    meter = begin(fleet, megabytes=10)
    fleet.clock.advance(2)
    meter.add(10 * MEGABYTE, parts=1, at=fleet.clock.monotonic())
    fleet.sampler.end()
    assert fleet.metrics.values(SLOW_TRANSFERS) == []
    assert fleet.metrics.values(TRANSFER_RATE) == [5.0]
    assert fleet.metrics.values(BYTES_TRANSFERRED) == [10 * MEGABYTE]
    fleet.sampler.sample()
    assert fleet.metrics.values(WORKERS_BUSY) == [1.0, 0.0]
    assert "transfer_id" not in fleet.metrics.lines[-1]


@pytest.mark.requirement("D3.1")
@pytest.mark.parametrize(
    ("error", "counted", "split"),
    [
        (None, TRANSFERS_COMPLETED, None),
        (SourceSizeError("s3://site/model", expected_bytes=1, found_bytes=2), TRANSFERS_FAILED, ERRORS),
        (CloudUnavailableError("no answer", aws_code="503"), TRANSFERS_RETRIED, TRANSFERS_RETRIED),
    ],
)
def test_what_becomes_of_a_transfer_is_counted(
    fleet: Fleet, error: PqtransferError | None, counted: Metric, split: Metric | None
) -> None:
    """Once each, and what failed by the class of its error."""

    def work(_request: TransferRequest, context: JobContext) -> TransferResult:
        context.start_meter(bytes_total=5, parts_total=1)
        if error is not None:
            raise error
        return RESULT

    fleet.pipeline.attempts = [work]
    fleet.handle_next()
    assert fleet.metrics.total(TRANSFERS_STARTED) == 1
    ends = (TRANSFERS_COMPLETED, TRANSFERS_FAILED, TRANSFERS_RETRIED)
    assert {each: fleet.metrics.total(each) for each in ends} == {each: int(each is counted) for each in ends}
    if error is not None and split is not None:
        assert fleet.metrics.total(split, error=error.code) == 1


@pytest.mark.requirement("D3.4")
@pytest.mark.parametrize(
    ("error", "failures"),
    [(DamagedEnvelopeError("a stanza was changed"), [1.0]), (NotARecipientError("t-1"), [0.0])],
)
def test_a_key_exchange_that_fails_is_counted_and_timed(
    fleet: Fleet, error: PqtransferError, failures: list[float]
) -> None:
    """Asking with a key that nothing was wrapped to is no failed exchange."""
    observer = MeasuringObserver(fleet.measuring, monotonic=fleet.clock.monotonic)
    observer.began("envelope.open")
    fleet.clock.advance(0.25)
    observer.failed("envelope.open", error)
    fleet.sampler.sample()
    assert fleet.metrics.values(KEY_EXCHANGE_FAILURES) == failures
    assert fleet.metrics.values(KEY_EXCHANGE_TIME) == ([250.0] if failures == [1.0] else [])


def test_a_sample_that_cannot_be_taken_costs_no_transfer(fleet: Fleet) -> None:
    """The transfer ends well, and the next sample is taken."""

    def fail() -> ResourceUse:
        raise OSError("no /proc here")

    fleet.sampler._read_use = fail
    fleet.handle_next()
    assert fleet.metrics.lines == []
    fleet.sampler._read_use = lambda: fleet.use
    fleet.sampler.sample()
    assert len(fleet.metrics.lines) == 1


def test_samples_are_taken_by_the_clock(fleet: Fleet) -> None:
    """A transfer that begins is sampled at once, and the end of the block is the last sample."""
    with fleet.sampler:
        fleet.sampler.begin(make_request())
    assert fleet.metrics.lines[-1]["WorkersBusy"] == [1.0]
