"""How far each producer's numbering has come: which number is next, which are missing, which came before.

Numbers may arrive late (a producer's spool is replayed), so a missing one is remembered until it comes.
A position is stored in <= 1.4 * 24 bytes * RECENT_EVENTS + 40 bytes * GAPS_REMEMBERED: 20 KiB at most.
"""

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from struct import Struct
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pqtransfer.audit.events import EventHeader
from pqtransfer.crypto.canonical_json import Base64Bytes

RECENT_EVENTS = 512
"""A batch should not hold more events of one producer: if it is delivered again, each can be compared."""
GAPS_REMEMBERED = 64
RECENT = Struct(">Q8s8s")


class Gap(NamedTuple):
    """The numbers from `first` to `last`, both of them, have not come."""

    first: int
    last: int


class Placement(StrEnum):
    """What an event is to a producer's numbering."""

    NEXT = "next"
    LATE = "late"
    REPEATED = "repeated"
    CONFLICTING = "conflicting"


class Numbering:
    """The numbers of one producer that have come. Of many gaps the last are remembered, the others counted."""

    __slots__ = ("forgotten", "gaps", "gaps_at_most", "last")

    def __init__(self, last: int = 0, gaps: Iterable[Gap] = (), *, gaps_at_most: int = GAPS_REMEMBERED) -> None:
        self.last = last
        self.gaps = list(gaps)
        self.gaps_at_most = gaps_at_most
        self.forgotten = 0

    def copy(self) -> "Numbering":
        copied = Numbering(self.last, self.gaps, gaps_at_most=self.gaps_at_most)
        copied.forgotten = self.forgotten
        return copied

    def add(self, number: int) -> Placement:
        """Take a number. One that was there already is `REPEATED`, and changes nothing."""
        if number > self.last:
            if number > self.last + 1:
                self.gaps.append(Gap(self.last + 1, number - 1))
                if len(self.gaps) > self.gaps_at_most:
                    del self.gaps[0]
                    self.forgotten += 1
            self.last = number
            return Placement.NEXT
        for at, gap in enumerate(self.gaps):
            if gap.first <= number <= gap.last:
                rest = [Gap(gap.first, number - 1), Gap(number + 1, gap.last)]
                self.gaps[at : at + 1] = [each for each in rest if each.first <= each.last]
                return Placement.LATE
        return Placement.REPEATED


class ProducerPosition(BaseModel):
    """What the sequencer keeps of one producer, beside the state of the log and moved together with it.

    `recent` has 24 bytes for each of the last events: the number (u64, big-endian), and 8 bytes each of the SHA-256 of
    the event's id and of its leaf hash. With them a repetition can be told from another event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    last_sequence: int = 0
    gaps: Annotated[tuple[Gap, ...], Field(strict=False, max_length=GAPS_REMEMBERED)] = ()
    recent: Annotated[Base64Bytes, Field(max_length=RECENT_EVENTS * RECENT.size)] = b""

    @model_validator(mode="after")
    def _check_recent(self) -> Self:
        if len(self.recent) % RECENT.size:
            raise ValueError(f"the recent events have {RECENT.size} bytes each")
        return self


class PositionTracker:
    """A producer's position while a batch is sequenced."""

    def __init__(self, position: ProducerPosition) -> None:
        self._numbering = Numbering(position.last_sequence, position.gaps)
        self._recent = {number: (id_tag, leaf_tag) for number, id_tag, leaf_tag in RECENT.iter_unpack(position.recent)}
        self._id_tags = {id_tag for id_tag, _ in self._recent.values()}

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(self._numbering.gaps)

    @property
    def position(self) -> ProducerPosition:
        recent = b"".join(RECENT.pack(number, *tags) for number, tags in self._recent.items())
        return ProducerPosition(last_sequence=self._numbering.last, gaps=self.gaps, recent=recent)

    def place(self, header: EventHeader, leaf_hash: bytes) -> Placement:
        """Take an event, if it is new.

        A repetition is the same bytes. The same number or id with other bytes is a conflict, and so is a number that is
        too old to compare: neither is appended, and neither may be dropped without a word.
        """
        tags = _tag(header.event_id.encode()), _tag(leaf_hash)
        known = self._recent.get(header.sequence)
        if known is not None:
            return Placement.REPEATED if known == tags else Placement.CONFLICTING
        if tags[0] in self._id_tags:
            return Placement.CONFLICTING
        placement = self._numbering.add(header.sequence)
        if placement is Placement.REPEATED:
            return Placement.CONFLICTING
        self._recent[header.sequence] = tags
        self._id_tags.add(tags[0])
        if len(self._recent) > RECENT_EVENTS:
            oldest = self._recent.pop(next(iter(self._recent)))
            self._id_tags.discard(oldest[0])
        return placement


def _tag(value: bytes) -> bytes:
    return sha256(value).digest()[:8]
