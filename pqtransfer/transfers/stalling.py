"""Tell a transfer that stands still from one that goes on: nothing is heard of its worker, or no part gets done.

How long nothing was heard is measured by the clock of who watches, from what it saw itself: no two clocks are compared.
"""

from datetime import datetime

from pqtransfer.transfers.ledger import Progress, TransferState

STALLED_AFTER_SECONDS = 30.0
"""Of a part of 32 MiB: 1 MB/s. A worker gives a word each second."""

Word = tuple[TransferState, int, datetime | None]
"""What changes whenever a worker says something: state, attempt, time of the last progress."""


class Silence:
    """How long nothing new has been heard of each transfer. Forgets those that are not asked for any more."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[Word, float]] = {}

    def measure(self, transfer_id: str, word: Word, *, at: float) -> float:
        """Seconds since the last word was another one; 0 when this one is new. `at` is of a monotonic clock."""
        last = self._heard.get(transfer_id)
        if last is None or last[0] != word:
            self._heard[transfer_id] = (word, at)
            return 0.0
        return at - last[1]

    def forget_all_but(self, transfer_ids: set[str]) -> None:
        """Those that have ended are not asked for again."""
        self._heard = {each: heard for each, heard in self._heard.items() if each in transfer_ids}


def explain_stall(
    state: TransferState, progress: Progress, *, silent_seconds: float, stalled_after_seconds: float
) -> str | None:
    """Why a transfer counts as stalled; None for one that goes on, waits, or has ended."""
    if state is not TransferState.RUNNING:
        return None
    if silent_seconds >= stalled_after_seconds:
        return f"no word from its worker for {silent_seconds:.0f} s"
    idle_seconds = progress.idle_seconds + silent_seconds
    if idle_seconds >= stalled_after_seconds:
        return f"no part done for {idle_seconds:.0f} s"
    return None
