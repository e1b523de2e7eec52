"""Shutting down in time: SIGTERM starts a countdown, and a transfer may go on only if it ends within it."""

import threading
from collections.abc import Callable

SHARE_FOR_FINISHING = 0.6
"""Of the stop timeout: the rest is for the parts in flight, the checkpoint and giving the message back."""


class Shutdown:
    """Whether, and since when, the process has been asked to stop. Times are seconds of a monotonic clock."""

    def __init__(self, *, stop_timeout_seconds: float, monotonic: Callable[[], float]) -> None:
        self._budget_seconds = stop_timeout_seconds * SHARE_FOR_FINISHING
        self._monotonic = monotonic
        self._requested_at: float | None = None
        self._event = threading.Event()

    def request(self) -> None:
        """Ask for the stop. Asking again does not prolong the countdown."""
        if self._requested_at is None:
            self._requested_at = self._monotonic()
        self._event.set()

    @property
    def is_requested(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the request at most that long; True when it came."""
        return self._event.wait(timeout_seconds)

    def leaves_time_for(self, seconds: float | None) -> bool:
        """True when work that takes this long (None: nobody knows) ends before the countdown does."""
        if self._requested_at is None:
            return True
        if seconds is None:
            return False
        return self._monotonic() + seconds <= self._requested_at + self._budget_seconds
