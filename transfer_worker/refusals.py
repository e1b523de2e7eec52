"""Why a message is not run or a transfer is ended, and how long to wait before a try is made again."""

import random
from datetime import datetime

from pqtransfer.errors import InputError, PqtransferError
from pqtransfer.keys.registry import (
    KeyNotFoundError,
    KeyNotUsableError,
    ParticipantUnknownError,
    RegistryDamagedError,
)
from pqtransfer.transfers.ledger import RecordDamagedError, TransferConflictError
from pqtransfer.transfers.request import MalformedRequestError
from pqtransfer.transfers.signed_request import UntrustedRequestError

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0

DAMAGED = (RecordDamagedError, RegistryDamagedError)
NOT_ITS_SENDERS = (
    *DAMAGED,
    MalformedRequestError,
    UntrustedRequestError,
    ParticipantUnknownError,
    KeyNotFoundError,
    KeyNotUsableError,
)
"""Why a message is rejected: no request, not signed by its sender, or the registry is damaged."""
NOT_TO_BE_RUN = (*DAMAGED, TransferConflictError)
"""Why a signed request is rejected: it is not the one that has this id, or records are damaged."""


class ReceivedTooOftenError(PqtransferError):
    """The message was received as often as is allowed, and no attempt led anywhere."""

    def __init__(self, receives: int, last_error: str) -> None:
        super().__init__(f"given up after {receives} receives; the last attempt ended with: {last_error}")


class DeadlinePassedError(InputError):
    """The transfer's deadline was over before it began."""

    def __init__(self, deadline: datetime) -> None:
        super().__init__(f"the deadline {deadline.isoformat()} was over before a worker was free; submit it again")


def backoff_seconds(attempt: int) -> float:
    """How long to wait after the given attempt (from 1): exponential with full jitter, at most 10 minutes."""
    doublings = min(attempt - 1, 10)  # enough to reach the longest; more would overflow in a long outage
    ceiling = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**doublings)
    return random.uniform(FIRST_RETRY_SECONDS / 2, ceiling)  # noqa: S311 - jitter needs no secrecy
