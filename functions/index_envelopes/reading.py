"""Read containers in the order of their ids, many at a time, and give each the rows that its envelope needs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.protection.settling import read_dependencies
from pqtransfer.transfers.dependencies import DependencyIndex
from pqtransfer.transfers.folder import Folder

CONTAINERS_AT_A_TIME = 64
THREADS = 16


class Containers(Protocol):
    """The containers of a data bucket."""

    def list_ids(self, *, after: str | None) -> Iterator[str]:
        """Their transfer ids in order."""

    def container(self, prefix: str) -> Folder:
        """The folder `transfers/ID/` of one."""


class PartRead(NamedTuple):
    """How far a run came. `damaged` containers could not be read for what is in them."""

    ended: bool
    read: int
    damaged: int


@dataclass(frozen=True)
class ContainerReading:
    """Only adds rows, and deletes none."""

    index: DependencyIndex
    containers: Containers
    monotonic: Callable[[], float] = time.monotonic

    def go_on(self, *, after: str | None, seconds: float, advance: Callable[[str], None]) -> PartRead:
        """Read what comes after an id, for at most about `seconds`.

        Args:
            advance: notes the id up to which containers were read.

        Raises:
            CloudError: something does not answer; the next run goes on from what was noted.
        """
        deadline, read, damaged = self.monotonic() + seconds, 0, 0
        with ThreadPoolExecutor(THREADS) as pool:
            waiting = self.containers.list_ids(after=after)
            while ids := list(islice(waiting, CONTAINERS_AT_A_TIME)):
                results = list(pool.map(self._read, ids))
                read, damaged = read + len(results), damaged + results.count(False)
                advance(ids[-1])
                if self.monotonic() >= deadline:
                    return PartRead(ended=False, read=read, damaged=damaged)
        return PartRead(ended=True, read=read, damaged=damaged)

    def _read(self, transfer_id: str) -> bool:
        try:
            needed = read_dependencies(transfer_id, self.containers.container(f"transfers/{transfer_id}/"))
        except UnavailableError:
            raise
        except PqtransferError:  # one that cannot be read holds up no other; its rows stay
            return False
        self.index.note(needed)
        return True
