"""The step of the sequencer, without I/O: the log as it is, and a batch of events, give the log as it will be.

The same input gives the same bytes, so a step that was cut off anywhere can be done again. No event is lost: each is
appended, or known to be in the log already, or handed back with the reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pqtransfer.audit.checkpoints import SIZE_AT_MOST, Checkpoint
from pqtransfer.audit.errors import DamagedTileError, MalformedEventError
from pqtransfer.audit.events import AuditEvent, EventHeader
from pqtransfer.audit.note_keys import is_key_name
from pqtransfer.audit.positions import Gap, Placement, PositionTracker, ProducerPosition
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import (
    BUNDLES,
    LEVELS_AT_MOST,
    TILE_WIDTH,
    ReadTile,
    Tile,
    count_hashes,
    encode_bundle,
    find_tile,
    split_bundle,
)
from pqtransfer.audit.tree import HASH_LENGTH_BYTES, CompactRange, hash_leaf, hash_subtree
from pqtransfer.crypto.canonical_json import Base64Bytes, read_document, write_canonical_json

STATE_LIMIT_BYTES = 8 * 1024


class LogState(BaseModel):
    """Where the log stands: its size, and the roots of the complete subtrees that it consists of, largest first."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["pqtransfer-audit-state/1"] = "pqtransfer-audit-state/1"
    origin: str = Field(max_length=255)
    size: int = Field(default=0, ge=0, le=SIZE_AT_MOST)
    hashes: Annotated[tuple[Base64Bytes, ...], Field(strict=False, max_length=64)] = ()

    @model_validator(mode="after")
    def _check_hashes(self) -> Self:
        if not is_key_name(self.origin):
            raise ValueError("the origin is no name of a log")
        CompactRange(self.size, self.hashes)
        return self

    @property
    def compact_range(self) -> CompactRange:
        return CompactRange(self.size, self.hashes)

    @property
    def checkpoint(self) -> Checkpoint:
        """The body of the checkpoint at this size."""
        return Checkpoint(self.origin, self.size, self.compact_range.root)

    def to_json(self) -> bytes:
        return write_canonical_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            MalformedDocumentError: not a state.
        """
        return read_document(cls, data, name="state of the audit log", limit_bytes=STATE_LIMIT_BYTES)


@dataclass(frozen=True)
class LogEdge:
    """What stands in the partial tiles: the hashes of each level, and the entries, that a batch is appended to."""

    hashes: tuple[bytes, ...]
    entries: tuple[bytes, ...]


@dataclass(frozen=True)
class Refusal:
    """An entry of the batch (by its place in it) that was not appended and is not in the log."""

    place: int
    reason: str


@dataclass(frozen=True)
class SequencedBatch:
    """The outcome. `files`: tiles and bundles by path; `positions` and `gaps`: of the producers in the batch."""

    state: LogState
    files: Mapping[str, bytes]
    positions: Mapping[str, ProducerPosition]
    appended: int
    repeated: int
    refused: tuple[Refusal, ...]
    gaps: Mapping[str, tuple[Gap, ...]]


@dataclass(frozen=True)
class IncomingBatch:
    """Entries as they came; the headers of those that are events, with their places; and the others as refusals."""

    entries: Sequence[bytes]
    headers: Sequence[tuple[int, EventHeader]]
    refused: Sequence[Refusal]

    @property
    def producers(self) -> list[str]:
        return sorted({header.producer for _, header in self.headers})


def read_batch(entries: Sequence[bytes]) -> IncomingBatch:
    """Tell events from what is none."""
    headers, refused = list[tuple[int, EventHeader]](), list[Refusal]()
    for place, entry in enumerate(entries):
        try:
            event = AuditEvent.from_json(entry)
        except MalformedEventError as error:
            refused.append(Refusal(place, str(error)))
        else:
            headers.append((place, EventHeader(event.producer, event.sequence, event.event_id)))
    return IncomingBatch(entries, headers, refused)


def read_edge(state: LogState, read_tile: ReadTile) -> LogEdge:
    """The partial tiles of the log, checked against its state.

    Raises:
        TileMissingError: one is not there.
        DamagedTileError: one is not what the state commits to.
    """
    tree = TiledTree(state.checkpoint, read_tile)
    hashes = tuple(
        tree.read_tile(level, count // TILE_WIDTH) if count % TILE_WIDTH else b""
        for level in range(LEVELS_AT_MOST)
        for count in [count_hashes(level, state.size)]
    )
    if not state.size % TILE_WIDTH:
        return LogEdge(hashes, ())
    bundle = find_tile(BUNDLES, state.size // TILE_WIDTH, state.size)
    entries = split_bundle(read_tile(bundle.path), path=bundle.path, width=bundle.width)
    if b"".join(map(hash_leaf, entries)) != hashes[0]:
        raise DamagedTileError(bundle.path, "its entries are not those of the tree")
    return LogEdge(hashes, tuple(entries))


def sequence_batch(
    state: LogState,
    edge: LogEdge,
    incoming: IncomingBatch,
    *,
    positions: Mapping[str, ProducerPosition],
) -> SequencedBatch:
    """Append the events of a batch in its order.

    Args:
        state: the log as it is.
        edge: its partial tiles, as `read_edge` gives them.
        incoming: the events in the order in which they came.
        positions: where the producers stand; one that is not there has sent nothing yet.
    """
    entries, refused = incoming.entries, list(incoming.refused)
    trackers: dict[str, PositionTracker] = {}
    leaves, new_entries, repeated = list[bytes](), list[bytes](), 0
    for place, header in incoming.headers:
        if header.producer not in trackers:
            position = positions.get(header.producer, ProducerPosition())
            trackers[header.producer] = PositionTracker(position)
        leaf = hash_leaf(entries[place])
        placement = trackers[header.producer].place(header, leaf)
        if placement is Placement.REPEATED:
            repeated += 1
        elif placement is Placement.CONFLICTING:
            reason = f"{header.producer} has sent another event, or one too old to compare, as number {header.sequence}"
            refused.append(Refusal(place, reason))
        else:
            leaves.append(leaf)
            new_entries.append(entries[place])
    return SequencedBatch(
        state=_grow(state, leaves),
        files=_write_files(state.size, edge, leaves, new_entries),
        positions={producer: tracker.position for producer, tracker in trackers.items()},
        appended=len(leaves),
        repeated=repeated,
        refused=tuple(sorted(refused, key=lambda refusal: refusal.place)),
        gaps={producer: tracker.gaps for producer, tracker in trackers.items() if tracker.gaps},
    )


def _grow(state: LogState, leaves: Iterable[bytes]) -> LogState:
    compact = state.compact_range
    for leaf in leaves:
        compact.append(leaf)
    return LogState(origin=state.origin, size=compact.size, hashes=compact.hashes)


def _write_files(size: int, edge: LogEdge, leaves: list[bytes], entries: list[bytes]) -> dict[str, bytes]:
    """The tiles and bundles that the larger log has and the smaller has not: entries first, then level by level."""
    files: dict[str, bytes] = {}
    if not leaves:
        return files
    all_entries = [*edge.entries, *entries]
    first = size // TILE_WIDTH
    for at in range(0, len(all_entries), TILE_WIDTH):
        part = all_entries[at : at + TILE_WIDTH]
        files[Tile(BUNDLES, first + at // TILE_WIDTH, len(part)).path] = encode_bundle(part)
    new = b"".join(leaves)
    for level in range(LEVELS_AT_MOST):
        first, hashes, new = count_hashes(level, size) // TILE_WIDTH, edge.hashes[level] + new, b""
        for number, at in enumerate(range(0, len(hashes), TILE_WIDTH * HASH_LENGTH_BYTES)):
            data = hashes[at : at + TILE_WIDTH * HASH_LENGTH_BYTES]
            tile = Tile(level, first + number, len(data) // HASH_LENGTH_BYTES)
            files[tile.path] = data
            new += b"" if tile.is_partial else hash_subtree(data)
        if not new:
            break
    return files
