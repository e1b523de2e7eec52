"""The heartbeat of one transfer: renews the lease with progress, holds the message and the task's protection.

It also decides when to stop: the lease is lost, could not be renewed until it expired, or the worker is shutting down
and the transfer would not finish in time. A stopped job raises the reason; everything done is in the checkpoint.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from aws_lambda_powertools import Logger

from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.transfers.ledger import Lease, LeaseLostError, Progress, TransferLedger
from pqtransfer.transfers.parts import StoppedError, StopSignal
from pqtransfer.transfers.progress import ProgressMeter
from transfer_worker.shutdown import Shutdown

BEAT_SECONDS = 1.0
PROTECTION_SECONDS = 600.0

logger = Logger(service="transfer-worker", child=True)


class ShutdownError(StoppedError):
    """The worker was told to stop, and the transfer would not have finished in time."""

    def __init__(self) -> None:
        super().__init__("the worker is shutting down; the transfer goes on elsewhere from its checkpoint")


class LeaseExpiredError(UnavailableError):
    """The lease could not be renewed until it expired."""

    def __init__(self, cause: PqtransferError) -> None:
        super().__init__(f"the lease expired because the ledger could not be reached: {cause}")


class HeldMessage(Protocol):
    """What keeps the message and the task while the transfer runs."""

    def keep_invisible(self) -> None:
        """Keep the message from other workers for another lease."""

    def protect_task(self) -> None:
        """Keep ECS from stopping this task."""


class Heartbeat:
    """Beats once a second in a thread of its own, from `with` to the end of the block."""

    def __init__(
        self,
        lease: Lease,
        *,
        ledger: TransferLedger,
        held: HeldMessage,
        stop: StopSignal,
        shutdown: Shutdown,
        lease_seconds: int,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._lease = lease
        self._ledger = ledger
        self._held = held
        self._stop = stop
        self._shutdown = shutdown
        self._lease_time = timedelta(seconds=lease_seconds)
        self._now = now
        self._monotonic = monotonic
        self._meter: ProgressMeter | None = None
        self._expires_at = now() + self._lease_time
        self._message_held_at = self._protected_at = monotonic()
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
        """One beat. A failure to reach AWS is borne until the lease expires."""
        progress = self.read_progress()
        if self._shutdown.is_requested and not self._shutdown.leaves_time_for(progress.seconds_left):
            self._stop.stop(ShutdownError())
            return
        try:
            expires_at = self._now() + self._lease_time
            self._ledger.renew(self._lease, at=self._now(), lease_expires_at=expires_at, progress=progress)
            self._expires_at = expires_at
            self._hold()
        except LeaseLostError as error:
            self._stop.stop(error)
        except UnavailableError as error:
            logger.warning("a heartbeat failed", extra={"code": error.code, "reason": str(error)})
            if self._now() >= self._expires_at:
                self._stop.stop(LeaseExpiredError(error))
        except PqtransferError as error:
            self._stop.stop(error)

    def _hold(self) -> None:
        at = self._monotonic()
        if at - self._message_held_at >= self._lease_time.total_seconds() / 3:
            self._held.keep_invisible()
            self._message_held_at = at
        if at - self._protected_at >= PROTECTION_SECONDS:
            self._held.protect_task()
            self._protected_at = at

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self._stop.is_set:
            self.beat()
