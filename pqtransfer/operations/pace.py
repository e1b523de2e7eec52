"""Whether a transfer is slower than it should be, when its source could have delivered it faster. Pure arithmetic.

A worker reads a part, encrypts it and uploads it, several parts at a time. What the source can do is what it did while
it was read: with `readers` parts in flight, each of which got `bytes_read / seconds_reading`, it delivers `readers`
times that. A transfer under the threshold is slow when the source is over it: then the time went elsewhere. One whose
source is under the threshold is not, and neither is one that has been watched for too short a time to tell.
"""

from dataclasses import dataclass

MEGABYTE = 10**6
SLOW_UNDER_BYTES_PER_SECOND = 100 * MEGABYTE
LEAST_SECONDS = 10.0
"""Under it, connections are still being made, and nothing can be said."""


@dataclass(frozen=True)
class Pace:
    """What was done in a stretch of `seconds`.

    `seconds_reading` is the sum over all readers: how long each of them waited for its source. `readers` is how many
    parts may be in flight.
    """

    seconds: float
    bytes_done: int
    bytes_read: int
    seconds_reading: float
    readers: int

    @property
    def bytes_per_second(self) -> float:
        """The rate of the transfer; 0 when no time has passed."""
        return self.bytes_done / self.seconds if self.seconds > 0 else 0.0

    @property
    def source_bytes_per_second(self) -> float | None:
        """The rate at which the source could have delivered; None when nothing was read."""
        if self.bytes_read == 0:
            return None
        return self.readers * self.bytes_read / self.seconds_reading if self.seconds_reading > 0 else float("inf")


def is_slow(
    pace: Pace,
    *,
    under_bytes_per_second: float = SLOW_UNDER_BYTES_PER_SECOND,
    after_seconds: float = LEAST_SECONDS,
) -> bool:
    """Whether the transfer is under the threshold, though its source could have delivered it."""
    source = pace.source_bytes_per_second
    return (
        pace.seconds >= after_seconds
        and pace.bytes_per_second < under_bytes_per_second
        and source is not None
        and source >= under_bytes_per_second
    )
