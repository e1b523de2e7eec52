"""Everything that is on its way at one look: transfers, who works on them, what waits, and what has just ended.

A look costs 16 queries of at most some dozen rows each, however many transfers there have ever been, and once in ten
seconds a look at queue and service. It may show the rows as they were a second ago, and these are a second behind the
workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pqtransfer.aws.service_load import Workload
from pqtransfer.transfers.ledger import FINAL_STATES, TransferNotFoundError, TransferRecord, TransferState
from pqtransfer.transfers.live import LiveTransfer, LiveTransfers
from pqtransfer.transfers.stalling import STALLED_AFTER_SECONDS, Silence, explain_stall

WORKLOAD_EVERY_SECONDS = 10.0
ENDED_SHOWN = 10
ENDED_SHOWN_SECONDS = 30.0


@dataclass(frozen=True)
class RunningTransfer:
    """A transfer that a worker has. `stalled` says why it seems to stand still."""

    transfer: LiveTransfer
    stalled: str | None


@dataclass(frozen=True)
class BusyWorker:
    """A worker, by the transfers in its name. A worker has one; a dead one keeps its until the lease expires."""

    name: str
    transfers: int
    bytes_per_second: float
    stalled: bool


@dataclass(frozen=True)
class Overview:
    """One look. `is_cut` says that more is on its way than was asked for."""

    at: datetime
    running: tuple[RunningTransfer, ...]
    waiting: tuple[LiveTransfer, ...]
    ended: tuple[TransferRecord, ...]
    workers: tuple[BusyWorker, ...]
    workload: Workload
    is_cut: bool


class Overlook:
    """Looks again and again, and remembers what it saw. `limit`: rows of each state that are shown at most."""

    def __init__(
        self,
        ledger: LiveTransfers,
        *,
        read_workload: Callable[[], Workload],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        limit: int,
        stalled_after_seconds: float = STALLED_AFTER_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._read_workload = read_workload
        self._monotonic = monotonic
        self._now = now
        self._limit = limit
        self._stalled_after_seconds = stalled_after_seconds
        self._silence = Silence()
        self._known: set[str] = set()
        self._ended: dict[str, tuple[TransferRecord, float]] = {}
        self._workload: tuple[Workload, float] | None = None

    def look(self) -> Overview:
        """What is on its way now.

        Raises:
            CloudError: something could not be read.
        """
        at = self._monotonic()
        running = self._ledger.list_live(TransferState.RUNNING, limit=self._limit)
        waiting = self._ledger.list_live(TransferState.SUBMITTED, limit=self._limit)
        live = {each.transfer_id for each in (*running, *waiting)}
        self._note_ended(live, at)
        shown = tuple(RunningTransfer(each, self._explain(each, at)) for each in running)
        self._silence.forget_all_but(live)
        return Overview(
            at=self._now(),
            running=shown,
            waiting=tuple(each for each in waiting if each.transfer_id not in {one.transfer_id for one in running}),
            ended=tuple(record for record, _ in self._ended.values()),
            workers=gather_workers(shown),
            workload=self._look_at_workload(at),
            is_cut=len(running) >= self._limit or len(waiting) >= self._limit,
        )

    def _explain(self, transfer: LiveTransfer, at: float) -> str | None:
        word = (transfer.state, transfer.attempt, transfer.progress_at)
        return explain_stall(
            transfer.state,
            transfer.progress,
            silent_seconds=self._silence.measure(transfer.transfer_id, word, at=at),
            stalled_after_seconds=self._stalled_after_seconds,
        )

    def _note_ended(self, live: set[str], at: float) -> None:
        """Ask once for those that are gone: how they ended. The index may be behind in either direction."""
        gone = self._known - live
        asked = sorted(gone)[:ENDED_SHOWN]
        for transfer_id in asked:
            try:
                record = self._ledger.peek(transfer_id)
            except TransferNotFoundError:
                continue
            if record.state in FINAL_STATES:
                self._ended[transfer_id] = (record, at)
        self._known = live | (gone - set(asked))
        fresh = [(each, seen) for each, seen in self._ended.items() if at - seen[1] <= ENDED_SHOWN_SECONDS]
        self._ended = dict(fresh[-ENDED_SHOWN:])

    def _look_at_workload(self, at: float) -> Workload:
        if self._workload is None or at - self._workload[1] >= WORKLOAD_EVERY_SECONDS:
            self._workload = (self._read_workload(), at)
        return self._workload[0]


def gather_workers(running: Sequence[RunningTransfer]) -> tuple[BusyWorker, ...]:
    """The workers that these transfers are in the hands of, by name."""
    names = sorted({each.transfer.owner or "?" for each in running})
    return tuple(
        _describe_worker(name, [each for each in running if (each.transfer.owner or "?") == name]) for name in names
    )


def _describe_worker(name: str, running: Sequence[RunningTransfer]) -> BusyWorker:
    return BusyWorker(
        name=name,
        transfers=len(running),
        bytes_per_second=sum(each.transfer.progress.bytes_per_second for each in running if not each.stalled),
        stalled=any(each.stalled for each in running),
    )
