"""The port to where objects stand: a folder in a bucket, or a directory on disk. One job runs on either.

Objects become visible whole or not at all: an upload is a set of parts that stays invisible until it is completed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cryptography.utils import Buffer

from pqtransfer.crypto.geometry import ByteRange
from pqtransfer.crypto.payload import Room
from pqtransfer.errors import InputError

PAYLOAD_NAME = "payload"
MANIFEST_NAME = "manifest.json"
ENVELOPE_NAME = "envelope.json"
RESIGNED_NAME = "manifest-resigned.json"

FillPart: TypeAlias = Callable[[Room], bytes | None]
"""Makes the content of a part in the room it is given; returns the SHA-256 of it where it has that."""


class ObjectMissingError(InputError):
    """There is no such object."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} does not exist; check the name, and that the version was not deleted")


class ObjectExistsError(InputError):
    """Something stands under that name already, and is not overwritten."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} exists and is not overwritten; choose another name or remove it first")


class SourceChangedError(InputError):
    """The source object changed while it was being read, or between two attempts."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} changed during the transfer; submit it again under a new id once it is final")


class DocumentChangedError(InputError):
    """A document was replaced by somebody else between reading and writing it."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} was replaced by somebody else meanwhile; read it again and repeat the change")


@dataclass(frozen=True)
class StoredObject:
    """An object as it stands. `etag` and `version_id` tell this state of it from every other; `tag` is its writer's.

    `composite_sha256` is the SHA-256 over the SHA-256 of its parts, where the store keeps it.
    """

    name: str
    size_bytes: int
    etag: str
    version_id: str | None = None
    tag: str | None = None
    composite_sha256: bytes | None = None


@dataclass(frozen=True)
class Document:
    """A small object, read whole."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class StoredPart:
    """A part of an upload, as the store acknowledged it. `index` counts from 0; stores number parts from 1."""

    index: int
    etag: str
    size_bytes: int
    sha256: bytes | None


class RangeSource(Protocol):
    """One state of one object, readable in ranges by many threads."""

    def read(self, byte_range: ByteRange, *, slice_size_bytes: int) -> Iterator[Buffer]:
        """Exactly the bytes of the range, in slices of that size; the last one is what is left.

        A slice is whole and valid when it comes, and stays so until the next one is asked for.

        Raises:
            SourceChangedError: the object is no longer the one that was opened.
        """


class SourceFolder(Protocol):
    """Where something is read from."""

    def locate(self, name: str) -> str:
        """The URI or path of an object, for people."""

    def open(self, stored: StoredObject) -> RangeSource:
        """A source that reads this state of the object and no other."""


class Folder(Protocol):
    """Objects under one root."""

    def locate(self, name: str) -> str:
        """The URI or path of an object, for people."""

    def find(self, name: str, *, version_id: str | None = None) -> StoredObject:
        """The object as it stands now.

        Raises:
            ObjectMissingError: there is none.
        """

    def open(self, stored: StoredObject) -> RangeSource:
        """A source that reads this state of the object and no other."""

    def read_document(self, name: str, *, limit_bytes: int) -> Document:
        """A small object, whole; at most `limit_bytes` + 1 bytes are read.

        Raises:
            ObjectMissingError: there is none.
        """

    def create_document(self, name: str, data: bytes) -> None:
        """Write a small object that must not exist yet.

        Raises:
            ObjectExistsError: it exists.
        """

    def replace_document(self, name: str, data: bytes, *, etag: str) -> None:
        """Replace the state of a small object that was read with `etag`.

        Raises:
            DocumentChangedError: it is no longer in that state.
        """

    def start_upload(self, name: str, *, tag: str, size_bytes: int) -> str:
        """Begin an upload and return its id. The completed object will carry `tag`."""

    def list_parts(self, name: str, upload_id: str) -> Mapping[int, StoredPart] | None:
        """The parts that the store holds, by index; None when there is no such upload (any more)."""

    def write_part(self, name: str, upload_id: str, *, index: int, byte_range: ByteRange, fill: FillPart) -> StoredPart:
        """Store one part, which stands at `byte_range` of the object and is made by `fill`.

        When `fill` raises, so does this, and there is no such part: what was filled already is seen by nobody.

        Raises:
            PartsChangedError: there is no such upload (any more).
            ValueError: `fill` made a part of another length.
        """

    def complete_upload(self, name: str, upload_id: str, parts: Mapping[int, StoredPart]) -> StoredObject:
        """Make the object of its parts, in order. It must not exist yet.

        Raises:
            ObjectExistsError: something stands under the name.
            PartsChangedError: the store holds other parts than these.
        """

    def abort_upload(self, name: str, upload_id: str) -> None:
        """Drop an upload and its parts. Dropping one that is gone changes nothing."""

    def abort_stray_uploads(self, name: str) -> None:
        """Drop every upload of this object: those of attempts that died before they could write down their id."""


class PartsChangedError(InputError):
    """The store holds other parts than the checkpoint says: somebody else wrote to the upload."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"the upload of {uri} holds other parts than were written; it is reconciled at the next attempt"
        )
