"""Read the containers of before there was an index. Until all have been read, no key is destroyed.

Containers are read in the order of their ids; how far it came stands in the index itself, so the next run goes on.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

from pydantic import BaseModel

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.protection.settling import read_dependencies
from pqtransfer.transfers.dependencies import DependencyIndex
from pqtransfer.transfers.folder import Folder

CONTAINERS_AT_A_TIME = 64
THREADS = 16


class BackfillReport(BaseModel):
    """How far it is. `damaged` containers could not be read for what is in them: nobody can open them either."""

    complete: bool
    read: int = 0
    damaged: int = 0


class BackfilledIndex(DependencyIndex, Protocol):
    """An index that knows how far its backfill is."""

    def is_complete(self) -> bool:
        """Whether every older container is in it."""

    def read_backfill(self) -> str | None:
        """The id of the container that was read last; None before the first."""

    def advance_backfill(self, transfer_id: str) -> None:
        """Note that the containers up to this one were read."""

    def mark_complete(self, *, at: datetime) -> None:
        """Note that all were."""


class Containers(Protocol):
    """The containers of a data bucket."""

    def list_ids(self, *, after: str | None) -> Iterator[str]:
        """Their transfer ids in order."""

    def container(self, prefix: str) -> Folder:
        """The folder `transfers/ID/` of one."""


@dataclass(frozen=True)
class Backfill:
    """Reads older containers into an index."""

    index: BackfilledIndex
    containers: Containers
    monotonic: Callable[[], float] = time.monotonic

    def run(self, *, now: datetime, seconds: float) -> BackfillReport:
        """Go on for at most about `seconds`.

        Raises:
            CloudError: something does not answer; the next run goes on from there.
        """
        if self.index.is_complete():
            return BackfillReport(complete=True)
        deadline, read, damaged = self.monotonic() + seconds, 0, 0
        with ThreadPoolExecutor(THREADS) as pool:
            waiting = self.containers.list_ids(after=self.index.read_backfill())
            while ids := list(islice(waiting, CONTAINERS_AT_A_TIME)):
                results = list(pool.map(self._read, ids))
                read, damaged = read + len(results), damaged + results.count(False)
                self.index.advance_backfill(ids[-1])
                if self.monotonic() >= deadline:
                    return BackfillReport(complete=False, read=read, damaged=damaged)
        self.index.mark_complete(at=now)
        return BackfillReport(complete=True, read=read, damaged=damaged)

    def _read(self, transfer_id: str) -> bool:
        try:
            needed = read_dependencies(transfer_id, self.containers.container(f"transfers/{transfer_id}/"))
        except UnavailableError:
            raise
        except PqtransferError:  # one that cannot be read holds up no other; its rows stay
            return False
        self.index.note(needed)
        return True
