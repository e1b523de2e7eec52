"""Checkpoints and data keys that live as long as the process, for jobs that are simply run again (offline ones).

The data key is never turned into bytes that could be stored: its "sealed" form is a number that only this process
can exchange for it.
"""

import secrets
import threading
from collections.abc import Mapping

from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.errors import AccessError
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import StoredPart


class ForgottenKeyError(AccessError):
    """The data key was kept in the memory of a process that has ended."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"the data key of transfer {transfer_id} ended with its process; start the transfer again")


class MemoryCheckpointStore:
    """A `CheckpointStore` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._heads: dict[str, Checkpoint] = {}
        self._parts: dict[str, dict[int, StoredPart]] = {}
        self._lock = threading.Lock()

    def load(self, transfer_id: str) -> Checkpoint | None:
        return self._heads.get(transfer_id)

    def load_parts(self, transfer_id: str) -> Mapping[int, StoredPart]:
        with self._lock:
            return dict(self._parts.get(transfer_id, {}))

    def create(self, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._heads[checkpoint.transfer_id] = checkpoint
            self._parts[checkpoint.transfer_id] = {}

    def record_part(self, transfer_id: str, upload_id: str, part: StoredPart) -> None:
        with self._lock:
            head = self._heads.get(transfer_id)
            if head is not None and head.upload_id == upload_id:
                self._parts[transfer_id][part.index] = part

    def clear(self, transfer_id: str) -> None:
        with self._lock:
            self._heads.pop(transfer_id, None)
            self._parts.pop(transfer_id, None)


class MemorySealer:
    """A `DataKeySealer` that keeps the keys itself."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, bytes], SecretBytes] = {}

    def seal(self, data_key: SecretBytes, *, transfer_id: str) -> bytes:
        handle = secrets.token_bytes(16)
        self._keys[transfer_id, handle] = data_key
        return handle

    def unseal(self, sealed: bytes, *, transfer_id: str) -> SecretBytes:
        """The key.

        Raises:
            ForgottenKeyError: it was sealed by another process, or for another transfer.
        """
        data_key = self._keys.get((transfer_id, sealed))
        if data_key is None:
            raise ForgottenKeyError(transfer_id)
        return data_key
