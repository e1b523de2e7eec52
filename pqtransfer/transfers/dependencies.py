"""Which containers stand on which keys: a row for each key that a container needs, and the port that keeps the rows.

The rule that everything else rests on: **a row is written before the envelope that needs it.** So while an envelope
needs a key, there is a row that says so, whatever crashed and however late a reader is. Rows carry the epoch of the
envelope they were written for; they are deleted only by somebody who has read the envelope that stands there now.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pqtransfer.crypto.envelope import MAXIMUM_EPOCH, Envelope
from pqtransfer.crypto.manifest import TransferId


class KeyRole(StrEnum):
    """What a container needs a key for."""

    RECIPIENT = "recipient"
    ENVELOPE_SIGNER = "envelope-signer"
    MANIFEST_SIGNER = "manifest-signer"


class Dependency(BaseModel):
    """A container that needs a key, from the envelope of this epoch on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: KeyRole
    transfer_id: TransferId
    epoch: int = Field(ge=1, le=MAXIMUM_EPOCH)


class DependencyPage(BaseModel):
    """Some of the containers that need a key, each once; `cursor` continues after them, None at the end."""

    model_config = ConfigDict(frozen=True)

    transfer_ids: tuple[str, ...]
    cursor: str | None


class RereadingPass(BaseModel):
    """A pass over all containers: those up to `last_id` were read after `began_at`."""

    model_config = ConfigDict(frozen=True)

    began_at: AwareDatetime
    last_id: str | None = None


class DependencyIndex(Protocol):
    """Where the rows are kept. Every read by key is strong."""

    def note(self, dependencies: Iterable[Dependency]) -> None:
        """Write rows; durable when it returns. Writing one again changes nothing."""

    def has_any(self, key_id: str, role: KeyRole) -> bool:
        """True when at least one container needs the key for this."""

    def list_page(self, key_id: str, role: KeyRole, *, cursor: str | None, limit: int) -> DependencyPage:
        """At most `limit` containers that need the key for this, in a stable order."""

    def find_of(self, transfer_id: str) -> list[Dependency]:
        """The rows of one container. One that was written a moment ago may be missing."""

    def forget(self, dependencies: Iterable[Dependency]) -> None:
        """Delete rows."""


def describe_dependencies(envelope: Envelope, *, manifest_key_id: str | None = None) -> tuple[Dependency, ...]:
    """The rows of an envelope, and of the manifest beside it."""
    body = envelope.body
    named = [(key_id, KeyRole.RECIPIENT) for key_id in envelope.recipient_key_ids]
    named.append((envelope.signing_key.key_id, KeyRole.ENVELOPE_SIGNER))
    if manifest_key_id is not None:
        named.append((manifest_key_id, KeyRole.MANIFEST_SIGNER))
    return tuple(
        Dependency(key_id=key_id, role=role, transfer_id=body.transfer_id, epoch=body.epoch) for key_id, role in named
    )


def find_stale(noted: Iterable[Dependency], current: Iterable[Dependency]) -> list[Dependency]:
    """The rows that nobody needs any more, given those of the envelope that stands there now.

    Epochs only grow, so no envelope of an epoch before the current one will be written any more; rows of a later one
    belong to somebody who is about to replace it, and stay.
    """
    needed = set(current)
    epoch = max((each.epoch for each in needed), default=0)
    return [each for each in noted if each.epoch <= epoch and each not in needed]


def iterate_all(index: DependencyIndex, key_id: str, role: KeyRole, *, page_size: int = 500) -> Iterator[str]:
    """Every container that needs the key for this, in pages."""
    cursor: str | None = None
    while True:
        page = index.list_page(key_id, role, cursor=cursor, limit=page_size)
        yield from page.transfer_ids
        cursor = page.cursor
        if cursor is None:
            return
