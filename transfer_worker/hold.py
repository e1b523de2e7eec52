"""What a worker holds while a transfer runs: the message, and the task's protection from scale-in."""

from collections.abc import Callable

from aws_lambda_powertools import Logger

from pqtransfer.aws.queue import QueueMessage, TransferQueue
from pqtransfer.aws.task_protection import TaskProtection, TaskProtectionError
from pqtransfer.transfers.ledger import Progress
from pqtransfer.transfers.parts import StoppedError
from transfer_worker.shutdown import Shutdown

PROTECTION_SECONDS = 600.0
"""How often protection is prolonged; it lasts an hour."""

logger = Logger(service="transfer-worker", child=True)


class ShutdownError(StoppedError):
    """The worker was told to stop, and the transfer would not have finished in time."""

    def __init__(self) -> None:
        super().__init__("the worker is shutting down; the transfer goes on elsewhere from its checkpoint")


class Hold:
    """Keeps the message invisible and the task protected, beat by beat; ends the job when the worker has to stop."""

    def __init__(
        self,
        message: QueueMessage,
        *,
        queue: TransferQueue,
        protection: TaskProtection,
        shutdown: Shutdown,
        visibility_seconds: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._message = message
        self._queue = queue
        self._protection = protection
        self._shutdown = shutdown
        self._visibility_seconds = visibility_seconds
        self._monotonic = monotonic
        self._message_held_at = self._protected_at = monotonic()

    def prolong(self, progress: Progress) -> None:
        """Prolong what is due.

        Raises:
            ShutdownError: the worker stops, and this transfer would not end in time.
            CloudUnavailableError: the queue could not be reached; the next beat tries again.
        """
        if self._shutdown.is_requested and not self._shutdown.leaves_time_for(progress.seconds_left):
            raise ShutdownError
        at = self._monotonic()
        if at - self._message_held_at >= self._visibility_seconds / 3:
            self._queue.keep_invisible(self._message, visibility_seconds=self._visibility_seconds)
            self._message_held_at = at
        if at - self._protected_at >= PROTECTION_SECONDS:
            self.protect()
            self._protected_at = at

    def protect(self) -> None:
        """Protect the task. Without it a transfer may have to move to another worker, but none is lost."""
        try:
            self._protection.hold()
        except TaskProtectionError as error:
            logger.warning("task protection failed", extra={"reason": str(error)})

    def unprotect(self) -> None:
        """Let the task be scaled in."""
        try:
            self._protection.drop()
        except TaskProtectionError as error:
            logger.warning("task protection failed", extra={"reason": str(error)})
