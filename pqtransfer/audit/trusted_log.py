"""What a verification ended with, kept for the next one: the signed checkpoint, and how far each producer had come.

A file of lines. The first is a header in canonical JSON; one line follows for each producer, ordered by name. With it a
check goes on where the last one ended, and with it, after a purge, the numbers of the entries that are gone are known.
Memory <= 300 bytes for each producer + 150 for each gap.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.audit.checkpoints import SIZE_AT_MOST
from pqtransfer.audit.events import SEQUENCE_AT_MOST
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.positions import Gap, Numbering
from pqtransfer.audit.verifier import GAPS_REPORTED
from pqtransfer.crypto.canonical_json import (
    Base64Bytes,
    MalformedDocumentError,
    read_document,
    write_canonical_json,
)
from pqtransfer.errors import IntegrityError

TRUSTED_LIMIT_BYTES = 64 << 20
HEADER_LIMIT_BYTES = 2 * NOTE_LIMIT_BYTES
LINE_LIMIT_BYTES = 64 * 1024

Number = Annotated[int, Field(ge=0, le=SEQUENCE_AT_MOST)]


class MalformedTrustedLogError(IntegrityError):
    """A file is not what a verification has kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this is not what a verification has kept: {reason}; verify the whole log once, without --since"
        )


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-audit-trusted/1"] = "pqtransfer-audit-trusted/1"
    checkpoint: Annotated[Base64Bytes, Field(max_length=NOTE_LIMIT_BYTES)]
    next_index: int = Field(ge=0, le=SIZE_AT_MOST)
    producers: int = Field(ge=0, description="how many lines follow")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    producer: str = Field(pattern=r"^[a-z0-9][a-z0-9./:_-]{0,127}$")
    last: Number
    gaps: Annotated[
        tuple[Annotated[tuple[Number, Number], Field(strict=False)], ...],
        Field(strict=False, max_length=GAPS_REPORTED),
    ] = ()
    forgotten: Number = 0


@dataclass(frozen=True)
class TrustedLog:
    """Entries below `next_index` were verified under the checkpoint; `numberings` are those up to there."""

    checkpoint_note: bytes
    next_index: int
    numberings: Mapping[str, Numbering]

    @property
    def numbers_sha256(self) -> str:
        """The digest, in hexadecimal, of where the numbers stood at `next_index`; the checkpoint is not in it."""
        return hashlib.sha256(b"%d\n" % self.next_index + b"".join(self._write_lines())).hexdigest()

    def to_bytes(self) -> bytes:
        header = _Header(checkpoint=self.checkpoint_note, next_index=self.next_index, producers=len(self.numberings))
        return b"".join([write_canonical_json(header), b"\n", *self._write_lines()])

    def _write_lines(self) -> list[bytes]:
        return [
            write_canonical_json(
                _Line(producer=name, last=numbering.last, gaps=tuple(numbering.gaps), forgotten=numbering.forgotten)
            )
            + b"\n"
            for name, numbering in sorted(self.numberings.items())
        ]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. The checkpoint in it is not verified.

        Raises:
            MalformedTrustedLogError: too large, cut off, or not of this format.
        """
        if len(data) > TRUSTED_LIMIT_BYTES:
            raise MalformedTrustedLogError(f"at most {TRUSTED_LIMIT_BYTES} bytes are read")
        first, *lines = data.split(b"\n")
        try:
            header = read_document(_Header, first, name="header", limit_bytes=HEADER_LIMIT_BYTES)
            if len(lines) != header.producers + 1 or lines[-1]:
                raise MalformedTrustedLogError("it is cut off")
            read = [read_document(_Line, line, name="line", limit_bytes=LINE_LIMIT_BYTES) for line in lines[:-1]]
        except MalformedDocumentError as error:
            raise MalformedTrustedLogError(str(error)) from None
        names = [line.producer for line in read]
        if names != sorted(set(names)):
            raise MalformedTrustedLogError("its producers are not in order")
        return cls(header.checkpoint, header.next_index, {line.producer: _number(line) for line in read})


def _number(line: _Line) -> Numbering:
    gaps, before = [Gap(first, last) for first, last in line.gaps], 0
    for gap in gaps:
        if not before < gap.first <= gap.last < line.last:
            raise MalformedTrustedLogError(f"the gaps of {line.producer} are not in order")
        before = gap.last
    numbering = Numbering(line.last, gaps, gaps_at_most=GAPS_REPORTED)
    numbering.forgotten = line.forgotten
    return numbering


def looks_like_note(data: bytes) -> bool:
    """True for a bare signed checkpoint, which a check takes as well: then every entry is read again."""
    return not data.startswith(b"{")
