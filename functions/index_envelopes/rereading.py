"""Read all containers again, time and again: a key is destroyed only after a pass that began when it was out of use.

Nothing new is wrapped to a key that is out of use. So an envelope that has a stanza for one stood there before, and a
pass that begins afterwards comes by it; if its row was lost, it has one then. However many keys there are, one pass
speaks for all of them. Containers are read in the order of their ids, a piece in each run; how far a pass came stands
in the index itself.

Whoever submits transfers can put an envelope of their own into a container, signed by a key of their own, of whatever
epoch. So a pass only adds rows, and deletes none: the worst that such an envelope does is to keep keys too long.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from pydantic import BaseModel

from functions.index_envelopes.backfill import CONTAINERS_AT_A_TIME, THREADS, Containers
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.protection.settling import read_dependencies
from pqtransfer.transfers.dependencies import DependencyIndex, RereadingPass


class RereadReport(BaseModel):
    """What a run did. `waiting`: no pass is due. `damaged` containers could not be read for what is in them."""

    waiting: bool = False
    ended: bool = False
    read: int = 0
    damaged: int = 0


class RereadIndex(DependencyIndex, Protocol):
    """An index that knows how far it was read again."""

    def read_reread(self) -> datetime | None:
        """When the last pass began that came to its end."""

    def read_pass(self) -> RereadingPass | None:
        """The pass that goes on."""

    def write_pass(self, done: RereadingPass) -> None:
        """Note how far it is. What is written is true whoever else writes: each row stands for itself."""

    def end_pass(self, done: RereadingPass) -> None:
        """Note that it has come to the end."""


@dataclass(frozen=True)
class Rereading:
    """Gives every container the rows that it needs, and takes none; a new pass begins `every` so often."""

    index: RereadIndex
    containers: Containers
    every: timedelta
    monotonic: Callable[[], float] = time.monotonic

    def run(self, *, now: datetime, seconds: float) -> RereadReport:
        """Go on for at most about `seconds`.

        Raises:
            CloudError: something does not answer; the next run goes on from there.
        """
        going = self.index.read_pass()
        if going is None:
            ended = self.index.read_reread()
            if ended is not None and timedelta(0) <= now - ended < self.every:
                return RereadReport(waiting=True)
            going = RereadingPass(began_at=now)
        deadline, read, damaged = self.monotonic() + seconds, 0, 0
        with ThreadPoolExecutor(THREADS) as pool:
            waiting = self.containers.list_ids(after=going.last_id)
            while ids := list(islice(waiting, CONTAINERS_AT_A_TIME)):
                results = list(pool.map(self._read, ids))
                read, damaged = read + len(results), damaged + results.count(False)
                going = going.model_copy(update={"last_id": ids[-1]})
                self.index.write_pass(going)
                if self.monotonic() >= deadline:
                    return RereadReport(read=read, damaged=damaged)
        self.index.end_pass(going)
        return RereadReport(ended=True, read=read, damaged=damaged)

    def _read(self, transfer_id: str) -> bool:
        try:
            needed = read_dependencies(transfer_id, self.containers.container(f"transfers/{transfer_id}/"))
        except UnavailableError:
            raise
        except PqtransferError:  # one that cannot be read holds up no other; its rows stay
            return False
        self.index.note(needed)
        return True
