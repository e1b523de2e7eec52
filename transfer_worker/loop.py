"""The worker's loop: receive a message, claim its transfer, run it, settle it.

| what happens                          | transfer            | message              | upload and checkpoint |
|---------------------------------------|---------------------|----------------------|-----------------------|
| done                                  | COMPLETED           | deleted              | cleared               |
| cannot be done                        | FAILED, with reason | deleted              | dropped               |
| something is unavailable              | given back          | visible after a wait | kept                  |
| received in vain too often            | FAILED, with reason | dead-letter queue    | dropped               |
| not a request, or not its sender's    | -                   | dead-letter queue    | -                     |
| cancelled meanwhile                   | CANCELLED           | deleted              | dropped               |
| taken over by another worker          | the other's         | the other's          | the other's           |
| the worker shuts down                 | given back          | visible at once      | kept                  |

A fault in the program itself ends the process: another worker takes the transfer over when the lease expires, and the
count of tries in the ledger ends it if it kills every worker.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from aws_lambda_powertools import Logger

from pqtransfer.aws.queue import QueueMessage, TransferQueue
from pqtransfer.aws.task_protection import TaskProtection
from pqtransfer.errors import InputError, PqtransferError, UnavailableError
from pqtransfer.keys.registry import (
    KeyNotFoundError,
    KeyNotUsableError,
    ParticipantUnknownError,
    RegistryDamagedError,
)
from pqtransfer.transfers.checkpoint import CheckpointStore, DataKeySealer
from pqtransfer.transfers.heartbeat import Heartbeat
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import (
    ClaimedElsewhereError,
    IllegalStepError,
    Lease,
    LeaseLostError,
    Progress,
    RecordDamagedError,
    TransferConflictError,
    TransferLedger,
    TransferRecord,
    TransferResult,
    TransferState,
    explain_failure,
)
from pqtransfer.transfers.parts import StopSignal
from pqtransfer.transfers.request import MalformedRequestError, TransferRequest, has_passed
from pqtransfer.transfers.signed_request import UntrustedRequestError
from transfer_worker.health import Health
from transfer_worker.hold import Hold, ShutdownError
from transfer_worker.settings import WorkerSettings
from transfer_worker.shutdown import Shutdown

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0
LONGEST_IDLE_SECONDS = 30.0
"""Between two tries to reach the queue: well under the time after which a silent loop is taken for hung."""

DAMAGED = (RecordDamagedError, RegistryDamagedError)
NOT_TO_BE_RUN = (
    *DAMAGED,
    MalformedRequestError,
    UntrustedRequestError,
    ParticipantUnknownError,
    KeyNotFoundError,
    KeyNotUsableError,
    TransferConflictError,
)
"""Why a message is rejected: no request, not its sender's, not the one that has this id, or records are damaged."""

logger = Logger(service="transfer-worker", child=True)


class ReceivedTooOftenError(PqtransferError):
    """The message was received as often as is allowed, and no attempt led anywhere."""

    def __init__(self, receives: int, last_error: str) -> None:
        super().__init__(f"given up after {receives} receives; the last attempt ended with: {last_error}")


class DeadlinePassedError(InputError):
    """The transfer's deadline was over before it began."""

    def __init__(self, deadline: datetime) -> None:
        super().__init__(f"the deadline {deadline.isoformat()} was over before a worker was free; submit it again")


class Pipeline(Protocol):
    """What runs one request (`transfer_worker.pipeline.TransferPipeline`)."""

    def run(self, request: TransferRequest, context: JobContext) -> TransferResult:
        """Do what the request asks for."""

    def discard(self, request: TransferRequest, context: JobContext) -> None:
        """Drop what a request that will not be completed has uploaded."""


@dataclass(frozen=True)
class Worker:
    """One worker: one transfer at a time.

    `read_request` reads and authenticates a message. `prompt_ledger` is the same ledger by calls that fail soon.
    """

    name: str
    settings: WorkerSettings
    read_request: Callable[[str], TransferRequest]
    queue: TransferQueue
    ledger: TransferLedger
    prompt_ledger: TransferLedger
    checkpoints: CheckpointStore
    sealer: DataKeySealer
    pipeline: Pipeline
    protection: TaskProtection
    shutdown: Shutdown
    health: Health
    now: Callable[[], datetime]
    monotonic: Callable[[], float]

    def run(self) -> None:
        """Take transfers until shutdown is requested. AWS being unreachable is waited out."""
        failures, wait_seconds = 0, 0
        while not self.shutdown.is_requested:
            try:
                for message in self.queue.receive(
                    visibility_seconds=self.settings.lease_seconds, wait_seconds=wait_seconds
                ):
                    if self.shutdown.is_requested:  # the stop came while the poll was waiting
                        self.queue.keep_invisible(message, visibility_seconds=0)
                    else:
                        self._handle_or_put_off(message, failures + 1)
                failures, wait_seconds = 0, self.settings.long_poll_seconds
            except UnavailableError as error:
                failures += 1
                logger.warning("cannot take transfers", extra={"code": error.code, "reason": str(error)})
                self.shutdown.wait(min(LONGEST_IDLE_SECONDS, backoff_seconds(failures)))
            self.health.turned(queue_reached=failures == 0)

    def _handle_or_put_off(self, message: QueueMessage, failures: int) -> None:
        """Handle a message; during an outage keep it away longer and longer, so that its receives last."""
        try:
            self.handle(message)
        except UnavailableError:
            self.queue.keep_invisible(message, visibility_seconds=int(backoff_seconds(failures)))
            raise

    def handle(self, message: QueueMessage) -> None:
        """Settle one message, as the table at the head of this file says."""
        try:
            request = self.read_request(message.body)
            record = self.ledger.submit(request, at=self.now())
            self.health.turned(queue_reached=True)
            lease = self._claim(request)
        except NOT_TO_BE_RUN as error:
            logger.error("rejected a message", extra={"message_id": message.message_id, "reason": str(error)})
            self.queue.reject(message, explain_failure(error))
            return
        except ClaimedElsewhereError as error:
            logger.info("the transfer is held elsewhere", extra={"reason": str(error)})
            self.queue.keep_invisible(message, visibility_seconds=self._seconds_until_free(record))
            return
        except IllegalStepError as error:
            logger.info("the transfer has ended already", extra={"reason": str(error)})
            if error.state is TransferState.COMPLETED:
                self.checkpoints.clear(request.transfer_id)
            else:
                self._discard(request)
            self.queue.delete(message)
            return
        if lease.tries > self.settings.max_receives:
            last_error = (
                f"{record.last_error.code}: {record.last_error.message}" if record.last_error else "a dead worker"
            )
            given_up = ReceivedTooOftenError(lease.tries - 1, last_error)
            try:
                self._give_up(request, lease, message, given_up)
            except LeaseLostError as error:
                self._let_go(request, message, error)
            return
        logger.append_keys(transfer_id=request.transfer_id, correlation_id=request.correlation_id)
        self.health.working_on(request.transfer_id)
        hold = Hold(
            message,
            queue=self.queue,
            protection=self.protection,
            shutdown=self.shutdown,
            visibility_seconds=self.settings.lease_seconds,
            monotonic=self.monotonic,
        )
        hold.protect()
        try:
            self._work(request, lease, message, hold)
        except LeaseLostError as error:  # whenever it is noticed, also while the end is being recorded
            self._let_go(request, message, error)
        finally:
            hold.unprotect()
            self.health.working_on(None)
            logger.remove_keys(["transfer_id", "correlation_id"])

    def _work(self, request: TransferRequest, lease: Lease, message: QueueMessage, hold: Hold) -> None:
        def beat(progress: Progress) -> None:
            self.health.beat(bytes_done=progress.bytes_done)
            hold.prolong(progress)

        stop = StopSignal()
        heartbeat = Heartbeat(
            lease,
            ledger=self.prompt_ledger,
            stop=stop,
            lease_seconds=self.settings.lease_seconds,
            now=self.now,
            monotonic=self.monotonic,
            on_beat=beat,
        )
        context = replace(self._context(stop), watch=heartbeat.watch, confirm=heartbeat.confirm)
        logger.info("transfer begins", extra={"kind": request.kind, "attempt": lease.attempt})
        try:
            if lease.attempt == 1 and request.deadline is not None and has_passed(request.deadline, now=self.now()):
                raise DeadlinePassedError(request.deadline)
            with heartbeat:
                result = self.pipeline.run(request, context)
            progress = heartbeat.read_progress()
            self.ledger.complete(lease, at=self.now(), result=result, progress=progress)
        except LeaseLostError:
            raise
        except ShutdownError as error:
            logger.info("gives the transfer back", extra={"reason": str(error)})
            self.ledger.release(lease, at=self.now(), error=None, progress=heartbeat.read_progress())
            self.queue.keep_invisible(message, visibility_seconds=0)
        except UnavailableError as error:
            self._retry_later(lease, message, error, heartbeat.read_progress())
        except PqtransferError as error:
            logger.error("transfer failed", extra={"code": error.code, "reason": str(error)})
            # First the ledger: a worker that was overtaken ends here, and drops nothing of its successor's.
            self.ledger.fail(lease, at=self.now(), failure=explain_failure(error))
            self._discard(request)
            self.queue.delete(message)
        else:
            logger.info("transfer completed", extra={"container": result.location, "bytes": result.plaintext_length})
            self.checkpoints.clear(request.transfer_id)
            self.queue.delete(message)

    def _claim(self, request: TransferRequest) -> Lease:
        at = self.now()
        expires_at = at + timedelta(seconds=self.settings.lease_seconds)
        return self.ledger.claim(request.transfer_id, owner=self.name, at=at, lease_expires_at=expires_at)

    def _seconds_until_free(self, record: TransferRecord) -> int:
        """When the lease that somebody else holds expires, unless it is renewed: a dead worker's is not."""
        if record.lease_expires_at is None:
            return self.settings.lease_seconds
        seconds_left = int((record.lease_expires_at - self.now()).total_seconds()) + 1
        return min(self.settings.lease_seconds, max(1, seconds_left))

    def _context(self, stop: StopSignal) -> JobContext:
        return JobContext(
            checkpoints=self.checkpoints,
            sealer=self.sealer,
            monotonic=self.monotonic,
            stop=stop,
            buffer_budget_bytes=self.settings.buffer_budget_bytes,
        )

    def _let_go(self, request: TransferRequest, message: QueueMessage, error: LeaseLostError) -> None:
        logger.info("lets the transfer go", extra={"reason": str(error)})
        if error.state is TransferState.CANCELLED:
            self._discard(request)
            self.queue.delete(message)

    def _discard(self, request: TransferRequest) -> None:
        """Drop what was uploaded. What may not be dropped here goes by the bucket's lifecycle rule."""
        try:
            self.pipeline.discard(request, self._context(StopSignal()))
        except UnavailableError:
            raise
        except PqtransferError as error:
            logger.warning("could not drop an upload", extra={"code": error.code, "reason": str(error)})

    def _retry_later(self, lease: Lease, message: QueueMessage, error: UnavailableError, progress: Progress) -> None:
        wait_seconds = int(backoff_seconds(lease.tries))
        logger.warning("will try again", extra={"code": error.code, "reason": str(error), "in_seconds": wait_seconds})
        self.ledger.release(lease, at=self.now(), error=explain_failure(error), progress=progress)
        self.queue.keep_invisible(message, visibility_seconds=wait_seconds)

    def _give_up(self, request: TransferRequest, lease: Lease, message: QueueMessage, error: PqtransferError) -> None:
        logger.error("gives the transfer up", extra={"transfer_id": request.transfer_id, "reason": str(error)})
        failure = explain_failure(error)
        self.ledger.fail(lease, at=self.now(), failure=failure)
        self._discard(request)
        self.queue.reject(message, failure)


def backoff_seconds(attempt: int) -> float:
    """How long to wait after the given attempt (from 1): exponential with full jitter, at most 10 minutes."""
    doublings = min(attempt - 1, 10)  # enough to reach the longest; more would overflow in a long outage
    ceiling = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**doublings)
    return random.uniform(FIRST_RETRY_SECONDS / 2, ceiling)  # noqa: S311 - jitter needs no secrecy
