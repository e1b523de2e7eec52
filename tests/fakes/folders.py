"""A folder in memory that keeps what S3 promises, and crashes at any call: before or after its effect."""

# ruff: noqa: ARG002 - the signatures are those of the ports

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.utils import Buffer

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.crypto.payload import PartBuffer, Room
from pqtransfer.crypto.secret import SecretBytes
from pqtransfer.transfers.folder import (
    Document,
    DocumentChangedError,
    FillPart,
    ObjectExistsError,
    ObjectMissingError,
    PartsChangedError,
    RangeSource,
    SourceChangedError,
    StoredObject,
    StoredPart,
)


class Crash(BaseException):
    """The process dies here. A BaseException, as nothing may catch it."""


@dataclass
class FaultPlan:
    """Crashes at the call number `at` (from 0; None: never), before or after the call has its effect."""

    at: int | None = None
    after_effect: bool = False
    calls: list[str] = field(default_factory=list)

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        if number == self.at and not self.after_effect:
            raise Crash(name)
        try:
            return call()
        finally:
            if number == self.at:  # whether it gave a result or an error
                raise Crash(name)


class Faulty:
    """Any port, with every call of a method going through a fault plan."""

    def __init__(self, target: Any, plan: FaultPlan) -> None:
        self._target = target
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        return lambda *args, **keywords: self._plan.run(name, lambda: method(*args, **keywords))


@dataclass
class _Upload:
    name: str
    tag: str
    parts: dict[int, tuple[StoredPart, bytes]] = field(default_factory=dict)


class InMemoryFolder:
    """Objects, and multipart uploads that are invisible until they are completed."""

    def __init__(self, *, gives_digests: bool = True) -> None:
        self.objects: dict[str, tuple[StoredObject, bytes]] = {}
        self.uploads: dict[str, _Upload] = {}
        self.written: list[int] = []
        self.reads: list[ByteRange] = []
        self._gives_digests = gives_digests
        self._numbers = itertools.count(1)

    def put(self, name: str, data: bytes) -> StoredObject:
        """Make or overwrite an object."""
        return self._store(name, data, tag=None)

    def get(self, name: str) -> bytes:
        return self.objects[name][1]

    def overwrite_part(self, index: int, data: bytes) -> None:
        """Somebody else writes a part of the one upload there is."""
        (upload,) = self.uploads.values()
        part = StoredPart(index, f"other-{next(self._numbers)}", len(data), hashlib.sha256(data).digest())
        upload.parts[index] = (part, data)

    def locate(self, name: str) -> str:
        return f"memory://{name}"

    def find(self, name: str, *, version_id: str | None = None) -> StoredObject:
        if name not in self.objects:
            raise ObjectMissingError(self.locate(name))
        return self.objects[name][0]

    def open(self, stored: StoredObject) -> "InMemorySource":
        return InMemorySource(self, stored)

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        stored = self.find(name)
        return Document(self.get(name)[: limit_bytes + 1], stored.etag)

    def create_document(self, name: str, data: bytes) -> None:
        if name in self.objects:
            raise ObjectExistsError(self.locate(name))
        self._store(name, data, tag=None)

    def replace_document(self, name: str, data: bytes, *, etag: str) -> None:
        if name not in self.objects or self.find(name).etag != etag:
            raise DocumentChangedError(self.locate(name))
        self._store(name, data, tag=None)

    def start_upload(self, name: str, *, tag: str, size_bytes: int) -> str:
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = _Upload(name, tag)
        return upload_id

    def list_parts(self, name: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        upload = self.uploads.get(upload_id)
        if upload is None:
            return None
        parts = {index: part for index, (part, _) in upload.parts.items()}
        return parts if self._gives_digests else {i: replace(part, sha256=None) for i, part in parts.items()}

    def write_part(self, name: str, upload_id: str, *, index: int, byte_range: ByteRange, fill: FillPart) -> StoredPart:
        if upload_id not in self.uploads:
            raise PartsChangedError(self.locate(name))
        data = bytearray(byte_range.length)
        buffer = PartBuffer(data)
        sha256 = fill(buffer.take) or hashlib.sha256(data).digest()
        buffer.require_full()
        part = StoredPart(index, f"part-{next(self._numbers)}", len(data), sha256)
        self.uploads[upload_id].parts[index] = (part, bytes(data))
        self.written.append(index)
        return part

    def complete_upload(self, name: str, upload_id: str, parts: Mapping[int, StoredPart]) -> StoredObject:
        upload = self.uploads.get(upload_id)
        held = {index: part.etag for index, (part, _) in upload.parts.items()} if upload else None
        if upload is None or held != {index: part.etag for index, part in parts.items()}:
            raise PartsChangedError(self.locate(name))
        if name in self.objects:
            raise ObjectExistsError(self.locate(name))
        made = [upload.parts[index] for index in sorted(upload.parts)]
        digests = [part.sha256 for part, _ in made]
        composite = hashlib.sha256(b"".join(filter(None, digests))).digest()
        del self.uploads[upload_id]
        return self._store(
            name,
            b"".join(data for _, data in made),
            tag=upload.tag,
            composite_sha256=composite if self._gives_digests and None not in digests else None,
        )

    def abort_upload(self, name: str, upload_id: str) -> None:
        self.uploads.pop(upload_id, None)

    def abort_stray_uploads(self, name: str) -> None:
        for upload_id in [key for key, upload in self.uploads.items() if upload.name == name]:
            del self.uploads[upload_id]

    def _store(self, name: str, data: bytes, *, tag: str | None, composite_sha256: bytes | None = None) -> StoredObject:
        etag = f"state-{next(self._numbers)}"
        stored = StoredObject(name, len(data), etag=etag, tag=tag, composite_sha256=composite_sha256)
        self.objects[name] = (stored, bytes(data))
        return stored


class InMemorySource:
    """Reads one state of one object of an `InMemoryFolder`, and notes every range."""

    def __init__(self, folder: InMemoryFolder, stored: StoredObject) -> None:
        self._folder = folder
        self._stored = stored

    def read(self, byte_range: ByteRange, *, slice_size_bytes: int) -> Iterator[Buffer]:
        self._folder.reads.append(byte_range)
        for start in range(byte_range.start, byte_range.end, slice_size_bytes):
            stored, data = self._folder.objects[self._stored.name]
            if stored.etag != self._stored.etag:
                raise SourceChangedError(self._folder.locate(self._stored.name))
            yield data[start : min(start + slice_size_bytes, byte_range.end)]


def read_whole(source: RangeSource, byte_range: ByteRange, *, slice_size_bytes: int = 4096) -> bytes:
    """The range in one piece."""
    return b"".join(bytes(data) for data in source.read(byte_range, slice_size_bytes=slice_size_bytes))


def fill_with(data: bytes, *, sha256: bytes | None = None, piece_size_bytes: int = 1000) -> FillPart:
    """Fills a part with these bytes, in pieces."""

    def fill(room: Room) -> bytes | None:
        for start in range(0, len(data), piece_size_bytes):
            piece = data[start : start + piece_size_bytes]
            room(len(piece))[:] = piece
        return sha256

    return fill


class PlainSealer:
    """Seals nothing: for tests in which a second "process" has to read the data key."""

    def seal(self, data_key: SecretBytes, *, transfer_id: str) -> bytes:
        return transfer_id.encode() + data_key.reveal()

    def unseal(self, sealed: bytes, *, transfer_id: str) -> SecretBytes:
        assert sealed.startswith(transfer_id.encode())
        return SecretBytes(sealed.removeprefix(transfer_id.encode()))
