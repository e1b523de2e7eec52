"""What retention keeps between runs, and the port to the log's objects of whoever archives and purges."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.audit.checkpoints import SIZE_AT_MOST
from pqtransfer.crypto.canonical_json import read_document, write_canonical_json

RETENTION_PATH = "retention"
STATE_LIMIT_BYTES = 8 * 1024


class Announced(BaseModel):
    """A purge that an event in the log tells of."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    first: int = Field(ge=0, le=SIZE_AT_MOST, description="the first entry that goes")
    first_kept: int = Field(ge=0, le=SIZE_AT_MOST)
    numbers_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    log_size: int = Field(ge=0, le=SIZE_AT_MOST, description="the event comes after so many entries")


class RetentionState(BaseModel):
    """Where retention stands. Nothing in it is trusted: what is due is found anew, and a purge is in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-audit-retention/1"] = "pqtransfer-audit-retention/1"
    archived_bundles: int = Field(default=0, ge=0, le=SIZE_AT_MOST)
    announced: Announced | None = None
    purged: Announced | None = Field(default=None, description="the last purge: the event that accounts for `purged`")

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            MalformedDocumentError: it is none.
        """
        return read_document(cls, data, name="state of retention", limit_bytes=STATE_LIMIT_BYTES)


@dataclass(frozen=True)
class StoredBundle:
    """What the store says of a bundle."""

    completed_at: datetime
    is_held: bool


class RetentionStore(Protocol):
    """The log's objects, for whoever archives and purges."""

    def describe_bundle(self, path: str) -> StoredBundle:
        """
        Raises:
            TileMissingError: it is not there.
        """

    def archive_bundle(self, path: str) -> None:
        """Have a bundle moved to the storage class of archives. The same again is no error."""

    def delete_bundle(self, path: str) -> None:
        """Delete a bundle with every version and every partial one of it. One that is gone is no error.

        Raises:
            BundleLockedError: a lock or a legal hold keeps it; nothing of it was deleted, or not all.
        """

    def find_retention(self) -> bytes | None:
        """What stands at `retention`."""

    def write_retention(self, data: bytes) -> None: ...

    def write_purged(self, data: bytes) -> None: ...
