"""The heartbeat of a running transfer: renews the lease, with progress, once a second in a thread of its own.

It stops the job when the lease is lost, or could not be renewed until it expired. A stopped job raises the reason; all
that is done is in the checkpoint. The ledger it is given must answer, or fail, well within the lease
(`pqtransfer.aws.clients.prompt_client_config`): a beat that hangs notices nothing.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.transfers.ledger import Lease, Progress, TransferLedger
from pqtransfer.transfers.parts import StopSignal
from pqtransfer.transfers.progress import ProgressMeter

BEAT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LeaseExpiredError(UnavailableError):
    """The lease could not be renewed until it expired."""

    def __init__(self, cause: PqtransferError) -> None:
        super().__init__(f"the lease expired because it could not be renewed: {cause}")


class HeartbeatBrokenError(UnavailableError):
    """The heartbeat ended by a fault of the program: nothing would renew the lease any more."""

    def __init__(self, fault: BaseException) -> None:
        super().__init__(f"the heartbeat broke ({type(fault).__name__}); the transfer is given back")


def _do_nothing(_progress: Progress) -> None:
    """Nothing else happens at a beat."""


class Heartbeat:
    """Beats from `with` to the end of the block. `on_beat` is what else the owner does at each beat; it may raise."""

    def __init__(
        self,
        lease: Lease,
        *,
        ledger: TransferLedger,
        stop: StopSignal,
        lease_seconds: int,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        on_beat: Callable[[Progress], None] = _do_nothing,
    ) -> None:
        self._lease = lease
        self._ledger = ledger
        self._stop = stop
        self._lease_seconds = lease_seconds
        self._now = now
        self._monotonic = monotonic
        self._on_beat = on_beat
        self._meter: ProgressMeter | None = None
        self._expires_at = monotonic() + lease_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def watch(self, meter: ProgressMeter) -> None:
        """Take progress from this meter from now on."""
        self._meter = meter

    def read_progress(self) -> Progress:
        """Progress as it is now."""
        return Progress() if self._meter is None else self._meter.read(at=self._monotonic())

    def beat(self) -> None:
        """One beat. A failure to reach the ledger is borne until the lease expires; any other ends the job."""
        progress = self.read_progress()
        self._bear(lambda: self._renew(progress))
        self._bear(lambda: self._on_beat(progress))

    def _renew(self, progress: Progress) -> None:
        at, began_at = self._now(), self._monotonic()
        expires_at = at + timedelta(seconds=self._lease_seconds)
        self._ledger.renew(self._lease, at=at, lease_expires_at=expires_at, progress=progress)
        self._expires_at = began_at + self._lease_seconds

    def _bear(self, step: Callable[[], None]) -> None:
        try:
            step()
        except UnavailableError as error:
            logger.warning("a heartbeat failed: %s", error)
            if self._monotonic() >= self._expires_at:
                self._stop.stop(LeaseExpiredError(error))
        except PqtransferError as error:
            self._stop.stop(error)

    def confirm(self) -> None:
        """Beat now, in the caller's thread, for a step that must not be taken by somebody who was overtaken.

        Raises:
            LeaseLostError: the transfer is another's, or has ended.
            PqtransferError: another reason to stop.
        """
        self.beat()
        self._stop.raise_if_set()

    def _run(self) -> None:
        next_at = self._monotonic() + BEAT_SECONDS
        while not self._ended.wait(max(0.0, next_at - self._monotonic())) and not self._stop.is_set:
            # By the clock, however long a beat takes; beats that were missed are not made up for.
            next_at = max(next_at, self._monotonic()) + BEAT_SECONDS
            try:
                self.beat()
            except BaseException as fault:
                self._stop.stop(HeartbeatBrokenError(fault))
                raise
