"""What another worker needs to go on where one died, and how it is reconciled with what the store really holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.folder import StoredObject, StoredPart


@dataclass(frozen=True)
class Checkpoint:
    """The head of a checkpoint, written once before the first part.

    `sealed_data_key` is readable only through the `DataKeySealer` for this transfer; None where the data key is opened
    from an envelope. `source_etag`, `source_version_id` and `source_size_bytes` pin the source.
    """

    transfer_id: str
    upload_id: str
    source_etag: str
    source_version_id: str | None
    source_size_bytes: int
    part_size_bytes: int
    floe_header: bytes
    sealed_data_key: bytes | None = None

    def is_of(self, source: StoredObject) -> bool:
        """True when the source is still the one that the upload was begun for."""
        pinned = (self.source_etag, self.source_version_id, self.source_size_bytes)
        return pinned == (source.etag, source.version_id, source.size_bytes)


class CheckpointStore(Protocol):
    """Where checkpoints are kept. The head is written once; each part is a row of its own, so 10,000 parts fit."""

    def load(self, transfer_id: str) -> Checkpoint | None:
        """The head, read consistently, or None."""

    def load_parts(self, transfer_id: str) -> Mapping[int, StoredPart]:
        """The parts recorded so far for the upload that the head names, by index."""

    def create(self, checkpoint: Checkpoint) -> None:
        """Write the head; replaces an older head and its parts."""

    def record_part(self, transfer_id: str, upload_id: str, part: StoredPart) -> None:
        """Record a part that the store has acknowledged for this upload. Called by many threads."""

    def clear(self, transfer_id: str) -> None:
        """Forget the checkpoint. Clearing one that is gone changes nothing."""


class DataKeySealer(Protocol):
    """Seals a data key so that only a worker on the same transfer can read it back."""

    def seal(self, data_key: SecretBytes, *, transfer_id: str) -> bytes:
        """The sealed data key."""

    def unseal(self, sealed: bytes, *, transfer_id: str) -> SecretBytes:
        """The data key.

        Raises:
            PqtransferError: it was sealed for another transfer, or may not be read.
        """


def reconcile_parts(
    recorded: Mapping[int, StoredPart], listed: Mapping[int, StoredPart] | None
) -> dict[int, StoredPart]:
    """The parts that need not be sent again: recorded with their digest, and still held unchanged by the store.

    The store's list is the truth about what is there, the checkpoint about what it should be: a part counts only when
    both agree on its ETag (and on its size and digest where the store tells them).
    """
    if listed is None:
        return {}
    agreed = {}
    for index, part in recorded.items():
        held = listed.get(index)
        if (
            held is not None
            and held.etag == part.etag
            and held.size_bytes == part.size_bytes
            and (held.sha256 is None or held.sha256 == part.sha256)
        ):
            agreed[index] = part
    return agreed
