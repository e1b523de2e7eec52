"""Connections that transfers can be watched by: one of them, or all at once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pqtransfer.sdk.connections import Connections
from pqtransfer.sdk.overview import Overlook
from pqtransfer.sdk.watching import Sighting, watch_transfer
from pqtransfer.transfers.ledger import TransferRecord
from pqtransfer.transfers.stalling import STALLED_AFTER_SECONDS

WATCH_WITHIN_SECONDS = 4.0
"""An answer that takes longer is of no use to who watches."""


@dataclass(frozen=True)
class WatchingConnections(Connections):
    """What watching needs of a deployment."""

    def follow(
        self, transfer_id: str, *, timeout_seconds: float | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[TransferRecord]:
        """The transfer twice a second, until it has ended.

        Raises:
            as `watch`.
        """
        for sighting in self.watch(transfer_id, timeout_seconds=timeout_seconds, sleep=sleep):
            yield sighting.record

    def watch(
        self,
        transfer_id: str,
        *,
        timeout_seconds: float | None = None,
        stalled_after_seconds: float = STALLED_AFTER_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[Sighting]:
        """The transfer at each look, twice a second, until it has ended; also whether it stands still.

        Raises:
            TransferNotFoundError: there is none.
            NotReadyError: it has not ended within the timeout.
            UnavailableError: the ledger gave no answer for a minute.
        """
        return watch_transfer(
            self.prompt_ledger(within_seconds=WATCH_WITHIN_SECONDS),
            self.ledger.get(transfer_id),
            monotonic=time.monotonic,
            sleep=sleep,
            timeout_seconds=timeout_seconds,
            stalled_after_seconds=stalled_after_seconds,
        )

    def overlook(self, *, limit: int, stalled_after_seconds: float = STALLED_AFTER_SECONDS) -> Overlook:
        """What looks at all transfers and workers at once. Needs an operator's role."""
        return Overlook(
            self.ledger,
            read_workload=self.workload.read,
            monotonic=time.monotonic,
            now=lambda: datetime.now(UTC),
            limit=limit,
            stalled_after_seconds=stalled_after_seconds,
        )
