"""A directory on disk as a `Folder`: offline containers, the file that `send` reads, the file that `receive` makes.

Nothing is ever visible half-written, and nothing is overwritten except by `replace_document`:

- objects are written to a hidden partial file and renamed when they are whole (`local_upload`);
- documents are written to a temporary file and linked to their name, which fails when the name is taken;
- `replace_document` compares and renames under an advisory lock on the directory, so that of two writers that go
  through this class one finds out. A writer that ignores the lock is not held back: a directory has no If-Match.

A file cannot list its parts. `list_parts` therefore answers from the journal that recorded them, as long as the partial
file they were written to still stands and the machine was not restarted since.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.sdk.local_errors import DirectoryMissingError, explain_os_errors
from pqtransfer.sdk.local_journal import LocalCheckpointStore
from pqtransfer.sdk.local_source import LocalSource, read_file_state, require_regular_file
from pqtransfer.sdk.local_upload import PartialFile, PartWriter, move_without_replacing, synchronise_directory
from pqtransfer.transfers.folder import (
    Document,
    DocumentChangedError,
    FillPart,
    PartsChangedError,
    StoredObject,
    StoredPart,
)


class LocalFolder:
    """A directory. Give it the journal of the job, and what it has written survives the process."""

    def __init__(self, directory: Path, *, journal: LocalCheckpointStore | None = None) -> None:
        self._directory = directory
        self._journal = journal
        self._uploads: dict[str, PartialFile] = {}
        self._tags: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of unfinished uploads and their locks; what they wrote stays for a later process."""
        for upload in self._uploads.values():
            upload.close()
        self._uploads.clear()

    def locate(self, name: str) -> str:
        """The path of an object."""
        return str(self._directory / name)

    def find(self, name: str, *, version_id: str | None = None) -> StoredObject:  # noqa: ARG002 - files have none
        """The file as it stands now. Files have no versions: `version_id` is not used.

        Raises:
            ObjectMissingError, NotAFileError, PathDeniedError: there is no such regular file.
        """
        path = self._directory / name
        with explain_os_errors(path):
            status = path.stat()
        require_regular_file(path, status)
        return StoredObject(
            name=name, size_bytes=status.st_size, etag=read_file_state(status), tag=self._find_tag(name, status)
        )

    def open(self, stored: StoredObject) -> LocalSource:
        """A source that reads this state of the file and no other.

        Raises:
            SourceChangedError, ObjectMissingError, NotAFileError, PathDeniedError: it cannot be opened.
        """
        return LocalSource(self._directory / stored.name, etag=stored.etag)

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        """A small file, whole; its ETag is the SHA-256 of its content.

        Raises:
            ObjectMissingError, NotAFileError, PathDeniedError: it cannot be read.
        """
        path = self._directory / name
        with explain_os_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                require_regular_file(path, os.fstat(descriptor))
                data = file.read(limit_bytes + 1)
        return Document(data, _digest(data))

    def create_document(self, name: str, data: bytes) -> None:
        """Write a small file that must not exist yet.

        Raises:
            ObjectExistsError: it exists.
            DiskFullError, PathDeniedError, DirectoryMissingError: it cannot be written.
        """
        path = self._directory / name
        with self._write_temporary(path, data) as temporary:
            move_without_replacing(temporary, path)

    def replace_document(self, name: str, data: bytes, *, etag: str) -> None:
        """Replace the small file that was read with `etag`.

        Raises:
            DocumentChangedError: it is no longer in that state.
        """
        path = self._directory / name
        with self._lock_directory(), self._write_temporary(path, data) as temporary:
            try:
                unchanged = _digest(path.read_bytes()) == etag
            except FileNotFoundError:
                unchanged = False
            if not unchanged:
                raise DocumentChangedError(str(path))
            temporary.replace(path)
            synchronise_directory(self._directory)

    def start_upload(self, name: str, *, tag: str, size_bytes: int) -> str:
        """Begin a partial file with all its blocks reserved.

        Raises:
            ObjectExistsError: something stands under the name.
            UploadBusyError: another process is writing it.
            DiskFullError, FileTooLargeError, PathDeniedError, DirectoryMissingError: it cannot be made.
        """
        self._require_directory()
        upload = PartialFile.create(self._directory / name, size_bytes=size_bytes)
        upload_id = f"{upload.upload_id}:{tag}"
        self._uploads[upload_id] = upload
        self._tags[name] = upload_id
        return upload_id

    def list_parts(self, name: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        """The parts that the journal names, if the partial file they are in is still this upload's.

        Raises:
            UploadBusyError: another process is writing it.
        """
        if upload_id not in self._uploads:
            file_id, _, _tag = upload_id.rpartition(":")
            upload = PartialFile.reopen(self._directory / name, upload_id=file_id)
            if upload is None:
                return None
            self._uploads[upload_id] = upload
        head = self._journal.load_head() if self._journal else None
        if self._journal is None or head is None or head.upload_id != upload_id:
            return {}
        return self._journal.load_parts(head.transfer_id)

    def write_part(self, name: str, upload_id: str, *, index: int, byte_range: ByteRange, fill: FillPart) -> StoredPart:
        """Write one part at its place, while it is made: what is there of one that fails counts for nothing.

        Raises:
            PartsChangedError: there is no such upload any more.
            DiskFullError, DiskError: it cannot be written.
        """
        writer = PartWriter(self._require_upload(name, upload_id), byte_range)
        sha256 = fill(writer.take)
        writer.finish()
        etag = f"{byte_range.start}+{byte_range.length}"
        return StoredPart(index=index, etag=etag, size_bytes=byte_range.length, sha256=sha256)

    def complete_upload(
        self,
        name: str,
        upload_id: str,
        parts: Mapping[int, StoredPart],  # noqa: ARG002 - they stand in their places already
    ) -> StoredObject:
        """Make the file durable and give it its name.

        Raises:
            ObjectExistsError: something stands under the name; the upload stays.
            PartsChangedError: there is no such upload any more.
        """
        self._require_upload(name, upload_id).publish()
        del self._uploads[upload_id]
        return self.find(name)

    def abort_upload(self, name: str, upload_id: str) -> None:  # noqa: ARG002 - the id says it all
        """Remove the partial file of this upload."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            upload.discard()

    def abort_stray_uploads(self, name: str) -> None:
        """Remove the partial file that an earlier process left.

        Raises:
            UploadBusyError: another process is writing it.
        """
        path = self._directory / name
        for upload_id in [key for key, upload in self._uploads.items() if upload.path == path]:
            self.abort_upload(name, upload_id)
        PartialFile.remove_stray(path)

    def _require_upload(self, name: str, upload_id: str) -> PartialFile:
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise PartsChangedError(self.locate(name))
        return upload

    def _require_directory(self) -> None:
        if not self._directory.is_dir():
            raise DirectoryMissingError(self._directory)

    def _find_tag(self, name: str, status: os.stat_result) -> str | None:
        """The tag of the upload that made this very file: this folder remembers it, or its journal does."""
        upload_id = self._tags.get(name)
        head = self._journal.load_head() if upload_id is None and self._journal else None
        if head is not None:
            upload_id = head.upload_id
        if upload_id is None:
            return None
        file_id, _, tag = upload_id.rpartition(":")
        made_this = file_id.split(":")[1:] == [str(status.st_dev), str(status.st_ino), str(status.st_size)]
        return tag if made_this else None

    @contextmanager
    def _write_temporary(self, path: Path, data: bytes) -> Iterator[Path]:
        """A durable temporary file beside `path`, removed afterwards if it is still there."""
        self._require_directory()
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with explain_os_errors(path, needed_bytes=len(data)):
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _lock_directory(self) -> Iterator[None]:
        self._require_directory()
        with explain_os_errors(self._directory):
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
