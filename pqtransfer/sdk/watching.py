"""Watch one transfer: at most two seconds behind its worker, and cheap enough for many who watch the same one.

The worker writes a word a second into the row. It is read every half second, by its key and eventually consistently
(half a read unit for 4 KiB): a partition of DynamoDB serves 3,000 watchers of one transfer. Where the table is busy,
the watcher asks less and less often, and goes on; what it shows is then older.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pqtransfer.errors import UnavailableError
from pqtransfer.transfers.container import NotReadyError
from pqtransfer.transfers.ledger import FINAL_STATES, TransferNotFoundError, TransferRecord, TransferState
from pqtransfer.transfers.live import LiveTransfers
from pqtransfer.transfers.stalling import STALLED_AFTER_SECONDS, Silence, explain_stall

POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 8.0
PATIENCE_SECONDS = 60.0
"""How long the ledger may give no answer."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ORDER = {TransferState.SUBMITTED: 0, TransferState.RUNNING: 1}


@dataclass(frozen=True)
class Sighting:
    """A transfer as it was seen. `is_news`: something is not as it was at the last sighting."""

    record: TransferRecord
    stalled: str | None
    is_news: bool


def watch_transfer(
    ledger: LiveTransfers,
    first: TransferRecord,
    *,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_seconds: float | None = None,
    stalled_after_seconds: float = STALLED_AFTER_SECONDS,
) -> Iterator[Sighting]:
    """The transfer at each look, from `first` until it has ended. Never an older state after a newer one.

    Raises:
        NotReadyError: it has not ended within the timeout.
        UnavailableError: the ledger gave no answer for a minute.
    """
    newest, said_last = first, None
    silence = Silence()
    answered_at, failures = monotonic(), 0
    deadline = None if timeout_seconds is None else monotonic() + timeout_seconds
    is_news = True
    while True:
        word = (newest.state, newest.attempt, newest.progress_at)
        stalled = explain_stall(
            newest.state,
            newest.progress,
            silent_seconds=silence.measure(newest.transfer_id, word, at=monotonic()),
            stalled_after_seconds=stalled_after_seconds,
        )
        yield Sighting(newest, stalled, is_news or (stalled is None) is not (said_last is None))
        said_last = stalled
        if newest.state in FINAL_STATES:
            return
        if deadline is not None and monotonic() >= deadline:
            raise NotReadyError(newest)
        sleep(choose_wait(failures))
        seen = newest
        try:
            seen = ledger.peek(newest.transfer_id)
            answered_at, failures = monotonic(), 0
        except TransferNotFoundError:  # read where it has not arrived yet
            answered_at, failures = monotonic(), 0
        except UnavailableError:
            failures += 1
            if monotonic() - answered_at >= PATIENCE_SECONDS:
                raise
        is_news = is_newer(seen, newest)
        newest = seen if is_news else newest


def choose_wait(failures: int) -> float:
    """Seconds until the next look: longer and longer after failures in a row, and not all watchers at once."""
    if failures == 0:
        return POLL_SECONDS
    return min(LONGEST_POLL_SECONDS, POLL_SECONDS * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def is_newer(one: TransferRecord, other: TransferRecord) -> bool:
    """Whether `one` tells of a later moment than `other`: copies of a table can answer out of order."""
    return _place(one) > _place(other)


def _place(record: TransferRecord) -> tuple[int, int, datetime, datetime]:
    return (
        _ORDER.get(record.state, 2),
        record.attempt,
        record.progress_at or _LONG_AGO,
        record.changed_at,
    )
