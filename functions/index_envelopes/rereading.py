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
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel

from functions.index_envelopes.reading import ContainerReading, Containers
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
        began = going

        def advance(transfer_id: str) -> None:
            self.index.write_pass(began.model_copy(update={"last_id": transfer_id}))

        reading = ContainerReading(self.index, self.containers, self.monotonic)
        done = reading.go_on(after=began.last_id, seconds=seconds, advance=advance)
        if done.ended:
            self.index.end_pass(began)
        return RereadReport(ended=done.ended, read=done.read, damaged=done.damaged)
