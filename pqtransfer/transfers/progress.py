"""Measure progress: bytes, parts, rate over the last seconds, and the time that is left. The clock is passed in."""

import threading
from collections import deque

from pqtransfer.transfers.ledger import Progress

RATE_WINDOW_SECONDS = 10.0


class ProgressMeter:
    """Counts what many threads finish. Times are seconds of one monotonic clock."""

    def __init__(self, *, bytes_total: int, parts_total: int, started_at: float) -> None:
        self._bytes_total = bytes_total
        self._parts_total = parts_total
        self._bytes_done = 0
        self._parts_done = 0
        self._samples: deque[tuple[float, int]] = deque([(started_at, 0)])
        self._measured_bytes = 0
        self._moved_at = started_at
        self._lock = threading.Lock()

    def skip(self, byte_count: int, *, parts: int) -> None:
        """Count work that an earlier attempt has done: it is done, but it is not speed."""
        with self._lock:
            self._bytes_done += byte_count
            self._parts_done += parts

    def add(self, byte_count: int, *, parts: int, at: float) -> None:
        """Count work that was just done."""
        with self._lock:
            self._bytes_done += byte_count
            self._parts_done += parts
            self._measured_bytes += byte_count
            self._samples.append((at, self._measured_bytes))
            self._moved_at = max(self._moved_at, at)

    @property
    def measured_bytes(self) -> int:
        """What was done since the beginning, without what was skipped."""
        with self._lock:
            return self._measured_bytes

    def read(self, *, at: float) -> Progress:
        """Where the work stands: the rate is over the last 10 seconds, or since the start if that is less."""
        with self._lock:
            while len(self._samples) > 1 and self._samples[1][0] <= at - RATE_WINDOW_SECONDS:
                self._samples.popleft()
            since, bytes_before = self._samples[0]
            rate = (self._measured_bytes - bytes_before) / (at - since) if at > since else 0.0
            left = self._bytes_total - self._bytes_done
            return Progress(
                bytes_done=self._bytes_done,
                bytes_total=self._bytes_total,
                parts_done=self._parts_done,
                parts_total=self._parts_total,
                bytes_per_second=rate,
                seconds_left=left / rate if rate > 0 else None,
                idle_seconds=max(0.0, at - self._moved_at),
            )
