"""The ledger of transfers: states, the steps that are legal between them, and the port that stores them.

    SUBMITTED -> RUNNING -> COMPLETED
        |           |-----> FAILED
        |-----------|-----> CANCELLED

A worker claims a transfer with a lease: an owner, an attempt number, and an expiry. Every later write of that worker
names both, so a worker that was overtaken finds out at its next write and stops. Every write can be repeated, as its
answer may be lost: a step that this very lease has taken already is a success.

Attempts in a row that led nowhere are counted as `tries`. It is the next claim that judges the attempt before it, by
the parts that were done at its last beat, so that what kills its worker is counted too. Giving a transfer back for no
fault of its own takes the try off again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.errors import InputError, IntegrityError, PqtransferError
from pqtransfer.transfers.request import TransferKind, TransferRequest


class TransferState(StrEnum):
    """Where a transfer stands."""

    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


LEGAL_STEPS: Mapping[TransferState, frozenset[TransferState]] = MappingProxyType(
    {
        TransferState.SUBMITTED: frozenset({TransferState.RUNNING, TransferState.FAILED, TransferState.CANCELLED}),
        TransferState.RUNNING: frozenset(
            {TransferState.RUNNING, TransferState.COMPLETED, TransferState.FAILED, TransferState.CANCELLED}
        ),
        TransferState.COMPLETED: frozenset(),
        TransferState.FAILED: frozenset(),
        TransferState.CANCELLED: frozenset(),
    }
)
WORKER_LOST = "WorkerLost"
"""The cause of a retry whose worker said nothing any more: it was killed, or was cut off."""
GIVEN_BACK = "GivenBack"
"""The cause of a retry that was no fault of the transfer: its worker was told to stop, or could not record its work."""
FINAL_STATES = frozenset(state for state, steps in LEGAL_STEPS.items() if not steps)


class TransferNotFoundError(InputError):
    """No transfer has this id."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"there is no transfer {transfer_id}; `pqtransfer list` shows those there are")


class TransferConflictError(InputError):
    """The id is taken by another transfer."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"transfer {transfer_id} exists and asks for something else; submit it under a new id")


class IllegalStepError(InputError):
    """The transfer's state does not allow this."""

    def __init__(self, transfer_id: str, state: TransferState, wanted: TransferState) -> None:
        super().__init__(f"transfer {transfer_id} is {state}: it cannot become {wanted}")
        self.state = state


class ClaimedElsewhereError(PqtransferError):
    """Another worker holds the transfer, and its lease has not expired."""

    def __init__(self, transfer_id: str, owner: str) -> None:
        super().__init__(f"transfer {transfer_id} is held by {owner}; it is free when that lease expires")


class RecordDamagedError(IntegrityError):
    """What stands in the ledger is not the record of this transfer."""

    def __init__(self, transfer_id: str, reason: str) -> None:
        super().__init__(f"the record of transfer {transfer_id[:36]} cannot be used ({reason}); ask who wrote it")


class LeaseLostError(PqtransferError):
    """This worker no longer holds the transfer: another took it over, or it was cancelled."""

    def __init__(self, transfer_id: str, state: TransferState) -> None:
        super().__init__(f"this worker no longer holds transfer {transfer_id} ({state})")
        self.state = state


class Progress(BaseModel):
    """How far a transfer is. Bytes count plaintext for encrypt and decrypt, ciphertext for verify.

    `idle_seconds` have passed since the last part was done, by the worker's own clock.
    """

    model_config = ConfigDict(frozen=True)

    bytes_done: int = Field(default=0, ge=0)
    bytes_total: int = Field(default=0, ge=0)
    parts_done: int = Field(default=0, ge=0)
    parts_total: int = Field(default=0, ge=0)
    bytes_per_second: float = Field(default=0.0, ge=0)
    seconds_left: float | None = None
    idle_seconds: float = Field(default=0.0, ge=0)


class Failure(BaseModel):
    """Why a transfer failed, for people (`message`) and for scripts (`code`, and the exit code of who waits for it)."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    exit_code: int = Field(default=1, ge=1, le=125)


class TransferResult(BaseModel):
    """What a completed transfer made: where it is, and the digests that identify it."""

    model_config = ConfigDict(frozen=True)

    location: str
    plaintext_length: int = Field(ge=0)
    ciphertext_length: int = Field(ge=0)
    composite_sha256: str = Field(description="base64; SHA-256 over the concatenated part digests of the ciphertext")
    part_count: int = Field(ge=1)
    plaintext_sha256: str | None = None
    object_version_id: str | None = None
    envelope_epoch: int | None = None


class TransferRecord(BaseModel):
    """One row of the ledger. `superseded_by` is the transfer that its model was re-encrypted as.

    `retries` counts the attempts that did not end the transfer, by cause (`count_retries`).
    """

    model_config = ConfigDict(frozen=True)

    request: TransferRequest
    state: TransferState
    submitted_at: AwareDatetime
    changed_at: AwareDatetime
    attempt: int = 0
    tries: int = 0
    most_parts_done: int = 0
    retries: Mapping[str, int] = Field(default_factory=dict)
    owner: str | None = None
    lease_expires_at: AwareDatetime | None = None
    progress: Progress = Progress()
    progress_at: AwareDatetime | None = None
    result: TransferResult | None = None
    failure: Failure | None = None
    last_error: Failure | None = None
    superseded_by: str | None = None

    @property
    def transfer_id(self) -> str:
        return self.request.transfer_id

    @property
    def kind(self) -> TransferKind:
        return self.request.kind


class Lease(BaseModel):
    """A worker's right to a transfer until it expires or is lost. `attempt` counts claims and fences off older ones.

    `tries` are the attempts in a row that led nowhere so far, this one included until it proves otherwise.
    """

    model_config = ConfigDict(frozen=True)

    transfer_id: str
    owner: str
    attempt: int
    tries: int
    retries: Mapping[str, int] = Field(default_factory=dict)


class TransferLedger(Protocol):
    """Where transfers are recorded. Every write is conditional; a condition that fails changes nothing."""

    def submit(self, request: TransferRequest, *, at: datetime) -> TransferRecord:
        """Record a new transfer as SUBMITTED. The same request again changes nothing and returns the record.

        Raises:
            TransferConflictError: the id is taken by a different request.
        """

    def get(self, transfer_id: str) -> TransferRecord:
        """The record, read consistently.

        Raises:
            TransferNotFoundError: there is none.
        """

    def list_recent(self, *, sender: str | None, state: TransferState | None, limit: int) -> Iterator[TransferRecord]:
        """Records, newest first, of one sender or in one state. What changed within the last second may be missing."""

    def claim(self, transfer_id: str, *, owner: str, at: datetime, lease_expires_at: datetime) -> Lease:
        """Make a SUBMITTED transfer RUNNING, or take over a RUNNING one whose lease has expired.

        Raises:
            TransferNotFoundError, ClaimedElsewhereError, IllegalStepError: why it cannot be claimed.
        """

    def renew(self, lease: Lease, *, at: datetime, lease_expires_at: datetime, progress: Progress) -> None:
        """Prolong the lease and store progress.

        Raises:
            LeaseLostError: another worker holds it, or the transfer ended.
        """

    def release(self, lease: Lease, *, at: datetime, error: Failure | None, progress: Progress) -> None:
        """Give the transfer back, still RUNNING but claimable at once.

        `error` is why the attempt ended; None when it was for no fault of the transfer, which does not count as a try.

        Raises:
            LeaseLostError: it is not this worker's any more.
        """

    def complete(self, lease: Lease, *, at: datetime, result: TransferResult, progress: Progress) -> None:
        """RUNNING -> COMPLETED.

        Raises:
            LeaseLostError: it is not this worker's any more.
        """

    def fail(self, lease: Lease, *, at: datetime, failure: Failure) -> None:
        """RUNNING -> FAILED.

        Raises:
            LeaseLostError: it is not this worker's any more.
        """

    def cancel(self, transfer_id: str, *, at: datetime) -> TransferRecord:
        """SUBMITTED or RUNNING -> CANCELLED. Cancelling a cancelled transfer changes nothing.

        Raises:
            TransferNotFoundError, IllegalStepError: why it cannot be cancelled.
        """

    def supersede(self, transfer_id: str, *, by: str) -> None:
        """Note that the model of a COMPLETED transfer was re-encrypted as another one. Repeating it changes nothing.

        Raises:
            TransferNotFoundError, IllegalStepError: there is no such transfer, or it is not COMPLETED.
            TransferConflictError: it was re-encrypted as a third one already.
        """


def require_legal_step(transfer_id: str, state: TransferState, wanted: TransferState) -> None:
    """Check one step of the state machine.

    Raises:
        IllegalStepError: the step is not legal.
    """
    if wanted not in LEGAL_STEPS[state]:
        raise IllegalStepError(transfer_id, state, wanted)


def require_claimable(record: TransferRecord, *, at: datetime) -> None:
    """Check that a transfer may be claimed now.

    Raises:
        IllegalStepError: it has ended.
        ClaimedElsewhereError: a worker holds it, and its lease has not expired.
    """
    require_legal_step(record.transfer_id, record.state, TransferState.RUNNING)
    if record.lease_expires_at is not None and record.lease_expires_at >= at:
        raise ClaimedElsewhereError(record.transfer_id, record.owner or "another worker")


def require_supersedable(record: TransferRecord, *, by: str) -> None:
    """Check that a transfer may be noted as re-encrypted as `by`.

    Raises:
        IllegalStepError: it is not COMPLETED.
        TransferConflictError: it was re-encrypted as another one already.
    """
    if record.state is not TransferState.COMPLETED:
        raise IllegalStepError(record.transfer_id, record.state, TransferState.COMPLETED)
    if record.superseded_by not in (None, by):
        raise TransferConflictError(record.transfer_id)


def count_tries(record: TransferRecord) -> tuple[int, int]:
    """What the next claim writes: `tries`, and `most_parts_done`.

    An attempt led somewhere if more parts are done than after any attempt before it. That can happen 10,000 times at
    most, so a transfer that never ends is given up.
    """
    if record.progress.parts_done > record.most_parts_done:
        return 1, record.progress.parts_done
    return record.tries + 1, record.most_parts_done


def count_retries(record: TransferRecord) -> dict[str, int]:
    """What the next claim writes as `retries`: a worker that let its lease expire is counted too."""
    if record.state is not TransferState.RUNNING or was_given_back(record):
        return dict(record.retries)
    return add_retry(record.retries, WORKER_LOST)


def was_given_back(record: TransferRecord) -> bool:
    """Whether the worker that is named in it gave it back, so that nobody holds it.

    A lease that was given back ends before the progress that was stored with it; any other ends after it.
    """
    expires_at, told_at = record.lease_expires_at, record.progress_at
    return expires_at is not None and told_at is not None and expires_at < told_at


def add_retry(retries: Mapping[str, int], cause: str) -> dict[str, int]:
    """The counts with one more of this cause."""
    return {**retries, cause: retries.get(cause, 0) + 1}


def explain_failure(error: PqtransferError) -> Failure:
    """The failure to record for an error."""
    return Failure(code=error.code, message=str(error)[:2000], exit_code=error.exit_code)
