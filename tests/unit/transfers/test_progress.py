"""Progress: what is done, how fast over the last seconds, and how long it will take."""

from pqtransfer.transfers.progress import RATE_WINDOW_SECONDS, ProgressMeter


def test_the_rate_is_over_the_last_seconds() -> None:
    """A fast start does not hide that it is slow now."""
    meter = ProgressMeter(bytes_total=10_000, parts_total=100, started_at=0.0)
    meter.add(5_000, parts=50, at=1.0)
    for second in range(2, 22):
        meter.add(100, parts=1, at=float(second))
    progress = meter.read(at=21.0)
    assert progress.bytes_done == 7_000
    assert progress.parts_done == 70
    assert progress.bytes_per_second == 100 * RATE_WINDOW_SECONDS / RATE_WINDOW_SECONDS
    assert progress.seconds_left == 30.0


def test_work_of_an_earlier_attempt_counts_as_done_but_not_as_speed() -> None:
    """A resumed transfer does not promise to be finished in no time."""
    meter = ProgressMeter(bytes_total=1_000, parts_total=10, started_at=100.0)
    meter.skip(900, parts=9)
    assert meter.read(at=101.0).bytes_per_second == 0
    assert meter.read(at=101.0).seconds_left is None
    meter.add(50, parts=1, at=102.0)
    progress = meter.read(at=102.0)
    assert (progress.bytes_done, progress.parts_done) == (950, 10)
    assert progress.bytes_per_second == 25
    assert progress.seconds_left == 2


def test_a_stalled_transfer_shows_no_speed() -> None:
    """Nothing in the last 10 seconds: the rate is 0 and the time left unknown."""
    meter = ProgressMeter(bytes_total=1_000, parts_total=10, started_at=0.0)
    meter.add(500, parts=5, at=1.0)
    progress = meter.read(at=60.0)
    assert progress.bytes_per_second == 0
    assert progress.seconds_left is None


def test_nothing_to_do_is_readable() -> None:
    """An empty model has no bytes and no rate."""
    progress = ProgressMeter(bytes_total=0, parts_total=1, started_at=5.0).read(at=5.0)
    assert (progress.bytes_done, progress.bytes_per_second, progress.seconds_left) == (0, 0.0, None)
