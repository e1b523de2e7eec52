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
| the audit log takes no event          | given back          | visible after a wait | kept                  |

Every decision and every end is in the audit log before the ledger or the queue says so. What it could not be told has
not happened: the attempt is given back, without counting as a try. An attempt that died after it was recorded leaves
events that the next one repeats; their attempt number tells them apart.

A fault in the program itself ends the process: another worker takes the transfer over when the lease expires, and the
count of tries in the ledger ends it if it kills every worker.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from aws_lambda_powertools import Logger

from pqtransfer.audit.events import AuditFacts
from pqtransfer.audit.trail import AuditTrail, AuditUnavailableError
from pqtransfer.aws.queue import QueueMessage, TransferQueue
from pqtransfer.aws.task_protection import TaskProtection
from pqtransfer.errors import PqtransferError, UnavailableError
from pqtransfer.operations import metrics
from pqtransfer.recording.transfers import TransferFacts
from pqtransfer.transfers.checkpoint import CheckpointStore, DataKeySealer
from pqtransfer.transfers.heartbeat import Heartbeat
from pqtransfer.transfers.job import JobContext
from pqtransfer.transfers.ledger import (
    ClaimedElsewhereError,
    IllegalStepError,
    Lease,
    LeaseLostError,
    Progress,
    TransferLedger,
    TransferRecord,
    TransferResult,
    TransferState,
    explain_failure,
)
from pqtransfer.transfers.parts import StopSignal
from pqtransfer.transfers.progress import ProgressMeter
from pqtransfer.transfers.request import TransferRequest, has_passed
from transfer_worker.audit import describe_acceptance, describe_attempt, describe_refusal
from transfer_worker.health import Health
from transfer_worker.hold import Hold, ShutdownError
from transfer_worker.measuring import Measuring
from transfer_worker.refusals import (
    NOT_ITS_SENDERS,
    NOT_TO_BE_RUN,
    DeadlinePassedError,
    ReceivedTooOftenError,
    backoff_seconds,
)
from transfer_worker.sampling import Sampler
from transfer_worker.settings import WorkerSettings
from transfer_worker.shutdown import Shutdown

LONGEST_IDLE_SECONDS = 30.0
"""Between two tries to reach the queue: well under the time after which a silent loop is taken for hung."""

logger = Logger(service="transfer-worker", child=True)


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
    trail: AuditTrail
    protection: TaskProtection
    shutdown: Shutdown
    health: Health
    measuring: Measuring
    sampler: Sampler
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
                    self._handle_or_put_off(message, failures + 1)
                failures, wait_seconds = 0, self.settings.long_poll_seconds
            except UnavailableError as error:
                failures += 1
                logger.warning("cannot take transfers", extra={"code": error.code, "reason": str(error)})
                self.measuring.count(metrics.ERRORS, error=error)
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
        except NOT_ITS_SENDERS as error:
            self._reject(message, error, describe_refusal(message, error, worker_name=self.name))
            return
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
            if self.shutdown.is_requested:  # the stop came during the poll, or before the protection: nothing begins
                self.queue.keep_invisible(message, visibility_seconds=0)
            else:
                self._claim_and_work(request, message, hold)
        finally:
            hold.unprotect()

    def _claim_and_work(self, request: TransferRequest, message: QueueMessage, hold: Hold) -> None:
        facts = describe_attempt(request, worker_name=self.name)
        try:
            record = self.ledger.submit(request, at=self.now())
            self.health.turned(queue_reached=True)
            lease = self._claim(request)
        except NOT_TO_BE_RUN as error:
            self._reject(message, error, (facts.refused_again(error), *facts.suspected(error)))
            return
        except ClaimedElsewhereError as error:
            logger.info("the transfer is held elsewhere", extra={"reason": str(error)})
            self.queue.keep_invisible(message, visibility_seconds=self._seconds_until_free(record))
            return
        except IllegalStepError as error:
            logger.info("the transfer has ended already", extra={"reason": str(error)})
            self.trail.record(facts.refused_again(error))
            if error.state is TransferState.COMPLETED:
                self.checkpoints.clear(request.transfer_id)
            else:
                self._discard(request)
            self.queue.delete(message)
            return
        try:
            if lease.tries > self.settings.max_receives:
                self._give_up(request, lease, message, record)
            else:
                self._show_and_work(request, lease, message, hold)
        except LeaseLostError as error:  # whenever it is noticed, also while the end is being recorded
            self._let_go(request, lease, message, error)

    def _show_and_work(self, request: TransferRequest, lease: Lease, message: QueueMessage, hold: Hold) -> None:
        logger.append_keys(
            transfer_id=request.transfer_id, correlation_id=request.correlation_id, participant=request.sender
        )
        self.sampler.begin(request)
        self.health.working_on(request.transfer_id)
        try:
            self._work(request, lease, message, hold)
        finally:
            self.health.working_on(None)
            self.sampler.end()
            logger.remove_keys(["transfer_id", "correlation_id", "participant"])

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

        def watch(meter: ProgressMeter) -> None:
            heartbeat.watch(meter)
            self.sampler.watch(meter)

        context = replace(self._context(stop), watch=watch, confirm=heartbeat.confirm, attempt=lease.attempt)
        self.measuring.count(metrics.TRANSFERS_STARTED)
        logger.info("transfer begins", extra={"kind": request.kind, "attempt": lease.attempt})
        try:
            self._run_and_settle(request, lease, message, heartbeat, context)
        except AuditUnavailableError:
            self._give_back_unrecorded(lease, heartbeat.read_progress())
            raise

    def _run_and_settle(
        self,
        request: TransferRequest,
        lease: Lease,
        message: QueueMessage,
        heartbeat: Heartbeat,
        context: JobContext,
    ) -> None:
        facts = self._facts(request, lease)
        try:
            self.trail.record(*describe_acceptance(message, facts))
            if lease.attempt == 1 and request.deadline is not None and has_passed(request.deadline, now=self.now()):
                raise DeadlinePassedError(request.deadline)
            with heartbeat:
                result = self.pipeline.run(request, context)
            progress = heartbeat.read_progress()
            self.trail.record(facts.completed(result))
            self.ledger.complete(lease, at=self.now(), result=result, progress=progress)
        except (LeaseLostError, AuditUnavailableError):
            raise
        except ShutdownError as error:
            logger.info("gives the transfer back", extra={"reason": str(error)})
            self.trail.record(facts.released(error))
            self.ledger.release(lease, at=self.now(), error=None, progress=heartbeat.read_progress())
            self.queue.keep_invisible(message, visibility_seconds=0)
        except UnavailableError as error:
            self.trail.record(facts.released(error))
            self._retry_later(lease, message, error, heartbeat.read_progress())
        except PqtransferError as error:
            logger.error("transfer failed", extra={"code": error.code, "reason": str(error)})
            self.measuring.count(metrics.TRANSFERS_FAILED)
            self.measuring.count(metrics.ERRORS, error=error)
            self.trail.record(*facts.failed(error))
            # First the ledger: a worker that was overtaken ends here, and drops nothing of its successor's.
            self.ledger.fail(lease, at=self.now(), failure=explain_failure(error))
            self._discard(request)
            self.queue.delete(message)
        else:
            self.measuring.count(metrics.TRANSFERS_COMPLETED)
            logger.info("transfer completed", extra={"container": result.location, "bytes": result.plaintext_length})
            self.checkpoints.clear(request.transfer_id)
            self.queue.delete(message)

    def _facts(self, request: TransferRequest, lease: Lease) -> TransferFacts:
        return describe_attempt(request, worker_name=self.name, attempt=lease.attempt)

    def _reject(self, message: QueueMessage, error: PqtransferError, facts: Sequence[AuditFacts]) -> None:
        logger.error("rejected a message", extra={"message_id": message.message_id, "reason": str(error)})
        self.measuring.count(metrics.MESSAGES_REJECTED)
        self.measuring.count(metrics.ERRORS, error=error)
        self.trail.record(*facts)
        self.queue.reject(message, explain_failure(error))

    def _give_back_unrecorded(self, lease: Lease, progress: Progress) -> None:
        """No fault of the transfer, so no try of it: the audit log took no event."""
        self.ledger.release(lease, at=self.now(), error=None, progress=progress)

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
            gauge=self.measuring,
        )

    def _let_go(self, request: TransferRequest, lease: Lease, message: QueueMessage, error: LeaseLostError) -> None:
        logger.info("lets the transfer go", extra={"reason": str(error)})
        self.trail.record(self._facts(request, lease).lost(error))
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
        self.measuring.count(metrics.TRANSFERS_RETRIED, error=error)
        logger.warning("will try again", extra={"code": error.code, "reason": str(error), "in_seconds": wait_seconds})
        self.ledger.release(lease, at=self.now(), error=explain_failure(error), progress=progress)
        self.queue.keep_invisible(message, visibility_seconds=wait_seconds)

    def _give_up(self, request: TransferRequest, lease: Lease, message: QueueMessage, record: TransferRecord) -> None:
        last = record.last_error
        said = f"{last.code}: {last.message}" if last else "a dead worker"
        error = ReceivedTooOftenError(lease.tries - 1, said)
        self.measuring.count(metrics.TRANSFERS_FAILED)
        self.measuring.count(metrics.ERRORS, error=error)
        logger.error("gives the transfer up", extra={"transfer_id": request.transfer_id, "reason": str(error)})
        failure = explain_failure(error)
        try:
            self.trail.record(self._facts(request, lease).abandoned(error))
        except AuditUnavailableError:
            self._give_back_unrecorded(lease, record.progress)
            raise
        self.ledger.fail(lease, at=self.now(), failure=failure)
        self._discard(request)
        self.queue.reject(message, failure)
