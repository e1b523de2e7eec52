"""Read the containers of before there was an index. Until all have been read, no key is destroyed.

Containers are read in the order of their ids; how far it came stands in the index itself, so the next run goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from functions.index_envelopes.reading import ContainerReading, Containers
from pqtransfer.transfers.dependencies import DependencyIndex


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
        reading = ContainerReading(self.index, self.containers, self.monotonic)
        done = reading.go_on(after=self.index.read_backfill(), seconds=seconds, advance=self.index.advance_backfill)
        if done.ended:
            self.index.mark_complete(at=now)
        return BackfillReport(complete=done.ended, read=done.read, damaged=done.damaged)
