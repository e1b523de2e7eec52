"""When a transfer counts as slow: under 100 MB/s, while its source could have delivered more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.operations.pace import MEGABYTE, Pace, is_slow


@pytest.mark.requirement("D3.2")
@pytest.mark.parametrize(
    ("pace", "slow"),
    [
        (Pace(20, 3000 * MEGABYTE, 3000 * MEGABYTE, 10, 4), False),  # 150 MB/s
        (Pace(20, 2000 * MEGABYTE, 2000 * MEGABYTE, 10, 4), False),  # exactly 100 MB/s
        (Pace(20, 1000 * MEGABYTE, 1000 * MEGABYTE, 10, 4), True),  # 50 MB/s, and the source could do 400
        (Pace(20, 1000 * MEGABYTE, 1000 * MEGABYTE, 40, 4), True),  # the source could do exactly 100
        (Pace(20, 1000 * MEGABYTE, 1000 * MEGABYTE, 80, 4), False),  # all four threads waited for the source: 50 MB/s
        (Pace(9.9, 100 * MEGABYTE, 100 * MEGABYTE, 1, 4), False),  # too short a time to tell
        (Pace(20, 0, 0, 0, 4), False),  # nothing was read: nothing is known of the source
        (Pace(20, 0, 100 * MEGABYTE, 1, 4), True),  # it was read, and no part comes through
        (Pace(0, 0, 0, 0, 4), False),
        (Pace(20, 1000 * MEGABYTE, 1000 * MEGABYTE, 0, 4), True),  # reading took no time at all
    ],
)
def test_slow_is_what_the_source_is_not_to_blame_for(pace: Pace, slow: bool) -> None:
    """A site with a slow line raises no alert; a worker that holds a fast one up does."""
    assert is_slow(pace) is slow


@given(
    seconds=st.floats(0, 1e5),
    done=st.integers(0, 10**13),
    read=st.integers(0, 10**13),
    reading=st.floats(0, 1e6),
    readers=st.integers(1, 6),
)
def test_nothing_at_or_over_the_threshold_is_slow(
    seconds: float, done: int, read: int, reading: float, readers: int
) -> None:
    """Whatever is measured, a fast transfer is never called slow, and a slow source never makes one."""
    pace = Pace(seconds, done, read, reading, readers)
    if is_slow(pace):
        assert pace.bytes_per_second < 100 * MEGABYTE <= (pace.source_bytes_per_second or 0)
