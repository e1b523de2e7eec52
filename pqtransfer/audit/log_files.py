"""The port of everything that reads a log: its files, and the checkpoint that stands beside them."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Protocol

from pqtransfer.audit.errors import DamagedTileError, MalformedEventError
from pqtransfer.audit.events import AuditEvent, read_event_header, read_logged_event
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, ReadTile, find_tile, read_entries
from pqtransfer.audit.tree import LEAF_PREFIX
from pqtransfer.errors import InputError


class EntryNotFoundError(InputError):
    """The log has no such entry."""

    def __init__(self, wanted: int | str, size: int) -> None:
        what = f"entry {wanted}" if isinstance(wanted, int) else f"entry with the event id {wanted}"
        super().__init__(
            f"the log has no {what}; it has {size} entries, numbered from 0: find one with `pqtransfer audit search`"
        )


class LogFiles(Protocol):
    """A log's files, wherever they stand."""

    def read_tile(self, path: str) -> bytes:
        """
        Raises:
            TileMissingError: nothing is there.
        """

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        """What stands at `checkpoint`; None when nothing does."""

    def find_purged(self) -> bytes | None:
        """What stands at `purged`; None when nothing does: nothing was purged."""


def read_log(
    tree: TiledTree, read_tile: ReadTile, *, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The entries from `first` to before `last` with their indexes, each checked against the root of the tree.

    Memory <= one bundle, 16 MiB of the largest entries.

    Raises:
        TileMissingError, DamagedTileError: an entry cannot be had as the log has signed it.
    """
    size = tree.checkpoint.size
    last = size if last is None else min(last, size)
    for number in range(first // TILE_WIDTH, -(-last // TILE_WIDTH)):
        bundle = find_tile(BUNDLES, number, size)
        entries = read_entries(bundle, read_tile)
        hashes = b"".join([sha256(LEAF_PREFIX + entry).digest() for entry in entries])
        if hashes != tree.read_tile(0, number):
            raise DamagedTileError(bundle.path, "its entries are not those of the tree; see `pqtransfer audit verify`")
        begin = number * TILE_WIDTH
        for at in range(max(first - begin, 0), min(last - begin, len(entries))):
            yield begin + at, entries[at]


def read_log_backwards(tree: TiledTree, read_tile: ReadTile, *, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """As `read_log` down to `first`, newest entry first."""
    size = tree.checkpoint.size
    for number in range((size - 1) // TILE_WIDTH, first // TILE_WIDTH - 1, -1):
        begin = number * TILE_WIDTH
        yield from reversed(list(read_log(tree, read_tile, first=max(begin, first), last=begin + TILE_WIDTH)))


def find_entry(tree: TiledTree, read_tile: ReadTile, wanted: int | str, *, first: int = 0) -> tuple[int, bytes]:
    """An entry by its index, or by its event's id, which is looked for from the end.

    Raises:
        EntryNotFoundError: there is none.
        TileMissingError, DamagedTileError: the files on the way are not what the log has signed.
    """
    size = tree.checkpoint.size
    if isinstance(wanted, int):
        if not first <= wanted < size:
            raise EntryNotFoundError(wanted, size)
        return next(read_log(tree, read_tile, first=wanted, last=wanted + 1))
    text = wanted.encode()
    for index, entry in read_log_backwards(tree, read_tile, first=first):
        if text in entry and _is_event(entry, wanted):
            return index, entry
    raise EntryNotFoundError(wanted, size)


def read_event(index: int, entry: bytes) -> AuditEvent:
    """The event of an entry.

    Raises:
        MalformedEventError: the log has signed something that is none; the message says which entry.
    """
    try:
        return read_logged_event(entry)
    except MalformedEventError as error:
        raise MalformedEventError(f"entry {index}: {error}") from None


def _is_event(entry: bytes, event_id: str) -> bool:
    try:
        return read_event_header(entry).event_id == event_id
    except MalformedEventError:
        return False
