"""How far each producer's numbering has come: which number is next, which are missing, which came before.

Numbers may arrive late (a producer's spool is replayed), so a missing one is remembered until it comes.
Memory of one producer <= 100 bytes * (RECENT_EVENTS + GAPS_REMEMBERED).
"""

from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pqtransfer.audit.events import EventHeader
from pqtransfer.crypto.canonical_json import Base64Bytes

RECENT_EVENTS = 64
GAPS_REMEMBERED = 64


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
    """The numbers of one producer that have come."""

    __slots__ = ("gaps", "last")

    def __init__(self, last: int = 0, gaps: Iterable[Gap] = ()) -> None:
        self.last = last
        self.gaps = list(gaps)

    def add(self, number: int) -> Placement:
        """Take a number. One that was there already is `REPEATED`, and changes nothing."""
        if number > self.last:
            if number > self.last + 1:
                self.gaps.append(Gap(self.last + 1, number - 1))
                del self.gaps[:-GAPS_REMEMBERED]
            self.last = number
            return Placement.NEXT
        for at, gap in enumerate(self.gaps):
            if gap.first <= number <= gap.last:
                rest = [Gap(gap.first, number - 1), Gap(number + 1, gap.last)]
                self.gaps[at : at + 1] = [each for each in rest if each.first <= each.last]
                return Placement.LATE
        return Placement.REPEATED


class RecentEvent(BaseModel):
    """An event of which a repetition can be told from another event under its number or id."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sequence: int
    event_id: str
    leaf_hash: Base64Bytes


class ProducerPosition(BaseModel):
    """What the sequencer keeps of one producer, beside the state of the log and moved together with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    last_sequence: int = 0
    gaps: Annotated[tuple[Gap, ...], Field(strict=False)] = ()
    recent: Annotated[tuple[RecentEvent, ...], Field(strict=False)] = ()


class PositionTracker:
    """A producer's position while a batch is sequenced."""

    def __init__(self, position: ProducerPosition) -> None:
        self._numbering = Numbering(position.last_sequence, position.gaps)
        self._recent = OrderedDict((event.sequence, (event.event_id, event.leaf_hash)) for event in position.recent)
        self._numbers = {event.event_id: event.sequence for event in position.recent}

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(self._numbering.gaps)

    @property
    def position(self) -> ProducerPosition:
        recent = tuple(
            RecentEvent(sequence=sequence, event_id=event_id, leaf_hash=leaf_hash)
            for sequence, (event_id, leaf_hash) in self._recent.items()
        )
        return ProducerPosition(last_sequence=self._numbering.last, gaps=self.gaps, recent=recent)

    def place(self, header: EventHeader, leaf_hash: bytes) -> Placement:
        """Take an event, if it is new.

        A repetition is the same bytes. The same number or id with other bytes is a conflict, and so is a number that is
        too old to compare: neither is appended, and neither may be dropped without a word.
        """
        known = self._recent.get(header.sequence)
        if known is not None:
            return Placement.REPEATED if known == (header.event_id, leaf_hash) else Placement.CONFLICTING
        if header.event_id in self._numbers:
            return Placement.CONFLICTING
        placement = self._numbering.add(header.sequence)
        if placement is Placement.REPEATED:
            return Placement.CONFLICTING
        self._recent[header.sequence] = (header.event_id, leaf_hash)
        self._numbers[header.event_id] = header.sequence
        if len(self._recent) > RECENT_EVENTS:
            _, (event_id, _) = self._recent.popitem(last=False)
            del self._numbers[event_id]
        return placement
