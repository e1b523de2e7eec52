"""Checkpoints on disk: one journal of JSON lines for one transfer, readable by its owner alone.

The first line is the head, every further line a part. A process that dies while it writes leaves a line without its
end; such a line is not read, so its part is done again.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pqtransfer.crypto.canonical_json import Base64Bytes
from pqtransfer.sdk.local_errors import explain_os_errors
from pqtransfer.transfers.checkpoint import Checkpoint
from pqtransfer.transfers.folder import StoredPart

JOURNAL_SUFFIX = ".pqtransfer-journal"
JOURNAL_LIMIT_BYTES = 16 << 20  # 10,000 parts of some 300 bytes, five times over


def name_journal(path: Path) -> Path:
    """The journal of a file that is being written to `path`."""
    return path.with_name(f".{path.name}{JOURNAL_SUFFIX}")


class LocalCheckpointStore:
    """A `CheckpointStore` in one file. It holds one transfer: the checkpoint of another one is not there."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = threading.Lock()

    def load(self, transfer_id: str) -> Checkpoint | None:
        """The head, if it is of this transfer."""
        head = self.load_head()
        return head if head is not None and head.transfer_id == transfer_id else None

    def load_head(self) -> Checkpoint | None:
        """The head, of whatever transfer it is. A journal that cannot be understood counts as none."""
        for line in self._read_lines():
            try:
                return _HeadLine.model_validate(line).to_checkpoint()
            except ValidationError:
                return None
        return None

    def load_parts(self, transfer_id: str) -> Mapping[int, StoredPart]:
        """The parts recorded so far for the upload that the head names, by index."""
        head = self.load(transfer_id)
        if head is None:
            return {}
        parts = {}
        for line in list(self._read_lines())[1:]:
            try:
                recorded = _PartLine.model_validate(line)
            except ValidationError:
                continue
            if recorded.upload_id == head.upload_id:
                parts[recorded.index] = recorded.to_part()
        return parts

    def create(self, checkpoint: Checkpoint) -> None:
        """Begin a new journal in place of an older one."""
        fresh = self._journal.with_name(f"{self._journal.name}.new")
        line = _HeadLine.from_checkpoint(checkpoint)
        with self._lock, explain_os_errors(self._journal):
            fresh.unlink(missing_ok=True)
            _append_line(fresh, line, flags=os.O_CREAT | os.O_EXCL)
            fresh.replace(self._journal)

    def record_part(self, transfer_id: str, upload_id: str, part: StoredPart) -> None:  # noqa: ARG002 - one transfer
        """Append a part."""
        with self._lock:
            _append_line(self._journal, _PartLine.from_part(part, upload_id), flags=os.O_APPEND)

    def clear(self, transfer_id: str) -> None:
        """Remove the journal if it is of this transfer."""
        if self.load(transfer_id) is not None:
            with explain_os_errors(self._journal):
                self._journal.unlink(missing_ok=True)

    def _read_lines(self) -> Iterator[Any]:
        with explain_os_errors(self._journal):
            try:
                with self._journal.open("rb") as file:
                    data = file.read(JOURNAL_LIMIT_BYTES)
            except FileNotFoundError:
                return
        for line in data.split(b"\n")[:-1]:  # what follows the last line end was cut off
            try:
                yield json.loads(line)
            except ValueError:
                yield None


class _HeadLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["pqtransfer-journal/1"] = "pqtransfer-journal/1"
    transfer_id: str
    upload_id: str
    source_etag: str
    source_version_id: str | None
    source_size_bytes: int
    part_size_bytes: int
    floe_header: Base64Bytes
    sealed_data_key: Base64Bytes | None

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "_HeadLine":
        return cls.model_validate(vars(checkpoint))

    def to_checkpoint(self) -> Checkpoint:
        return Checkpoint(**self.model_dump(exclude={"format"}))


class _PartLine(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_id: str
    index: int
    etag: str
    size_bytes: int
    sha256: Base64Bytes | None

    @classmethod
    def from_part(cls, part: StoredPart, upload_id: str) -> "_PartLine":
        return cls.model_validate({**vars(part), "upload_id": upload_id})

    def to_part(self) -> StoredPart:
        return StoredPart(**self.model_dump(exclude={"upload_id"}))


def _append_line(path: Path, line: BaseModel, *, flags: int) -> None:
    """One `write` for a whole line: it is there, or it has no line end and is not read."""
    data = line.model_dump_json().encode() + b"\n"
    with explain_os_errors(path, needed_bytes=len(data)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
        try:
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
