"""What is on its way now: the rows that an operator's overview shows, and the buckets they are found in.

A transfer that waits or runs stands in one bucket of its state, and in none once it has ended. A state has several
buckets, between which ids are spread evenly: whoever looks asks each for a bounded number of rows, and neither their
questions nor the heartbeats of all workers, which change these rows once a second, meet in one place.
"""

import zlib
from collections.abc import Mapping
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.transfers.ledger import Progress, TransferRecord, TransferState
from pqtransfer.transfers.request import TransferKind

LIVE_STATES = (TransferState.RUNNING, TransferState.SUBMITTED)
BUCKETS_OF_A_STATE = 8
"""A partition of DynamoDB takes 1,000 writes of 1 KiB a second: room for 8,000 running transfers."""


class LiveTransfer(BaseModel):
    """A transfer that had not ended when it was looked at, which may be a second ago."""

    model_config = ConfigDict(frozen=True)

    transfer_id: str
    state: TransferState
    kind: TransferKind
    sender: str
    recipients: tuple[str, ...]
    submitted_at: AwareDatetime
    owner: str | None = None
    attempt: int = 0
    retries: Mapping[str, int] = Field(default_factory=dict)
    progress: Progress = Progress()
    progress_at: AwareDatetime | None = None


class LiveTransfers(Protocol):
    """Where they are found. What is read may be a second old."""

    def list_live(self, state: TransferState, *, limit: int) -> list[LiveTransfer]:
        """Transfers in this state (RUNNING or SUBMITTED), those submitted first first, about `limit` at most."""

    def peek(self, transfer_id: str) -> TransferRecord:
        """The record, as cheaply as it can be read. It may be older than one that was read before.

        Raises:
            TransferNotFoundError: there is none, or it is younger than a second.
        """


class FleetWork(Protocol):
    """What the workers of the fleet have claimed. What is read may be a second old."""

    def list_claimed(self, *, limit: int) -> list[TransferRecord]:
        """RUNNING transfers, those submitted first first; not uploads, which a site's host claims for itself."""


def name_bucket(state: TransferState, transfer_id: str) -> str | None:
    """The bucket of a transfer in this state; None for one that has ended."""
    if state not in LIVE_STATES:
        return None
    return list_buckets(state)[zlib.crc32(transfer_id.encode()) % BUCKETS_OF_A_STATE]


def list_buckets(state: TransferState) -> tuple[str, ...]:
    """Every bucket of a state."""
    return tuple(f"{state}#{number}" for number in range(BUCKETS_OF_A_STATE))


def show_live(record: TransferRecord) -> LiveTransfer:
    """What of a record the overview shows."""
    return LiveTransfer(
        transfer_id=record.transfer_id,
        state=record.state,
        kind=record.kind,
        sender=record.request.sender,
        recipients=record.request.recipients,
        submitted_at=record.submitted_at,
        owner=record.owner,
        attempt=record.attempt,
        retries=record.retries,
        progress=record.progress,
        progress_at=record.progress_at,
    )
