"""Where hashes and entries stand: tiles of 256 hashes, and bundles of the entries under them (C2SP tlog-tiles).

A full tile never changes. Nor does a partial one: its width is in its path, and a wider one stands beside it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from pqtransfer.audit.errors import DamagedTileError, TileMissingError
from pqtransfer.audit.tree import HASH_LENGTH_BYTES

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_LENGTH_BYTES = TILE_WIDTH * HASH_LENGTH_BYTES
LEVELS_AT_MOST = 8
"""Enough for 2^64 leaves."""
BUNDLES = -1
"""The level of the entries themselves."""
ENTRY_LIMIT_BYTES = (1 << 16) - 1
PREFIX_LENGTH_BYTES = 2
ENTRIES_READ_AT_MOST = 2 * TILE_WIDTH
"""More than a bundle may have, so that a reader can say what was put into one."""
BUNDLE_LIMIT_BYTES = TILE_WIDTH * (PREFIX_LENGTH_BYTES + ENTRY_LIMIT_BYTES)

PATH = re.compile(
    r"tile/(?P<level>entries|[0-7])/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?", re.ASCII
)


class ReadTile(Protocol):
    """Reads the bytes at a path of the log.

    Raises:
        TileMissingError: nothing is there.
    """

    def __call__(self, path: str) -> bytes: ...


@dataclass(frozen=True, order=True)
class Tile:
    """One tile or, at level `BUNDLES`, one bundle: number `index` of its level, with `width` hashes or entries."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`; N stands in groups of three digits, all but the last after an `x`."""
        level = "entries" if self.level == BUNDLES else str(self.level)
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return f"tile/{level}/{number}" + (f".p/{self.width}" if self.is_partial else "")

    @property
    def is_partial(self) -> bool:
        return self.width < TILE_WIDTH

    @property
    def parent(self) -> tuple[int, int]:
        """The tile index one level up, and the place in it, of this tile's root."""
        return divmod(self.index, TILE_WIDTH)

    @classmethod
    def from_path(cls, path: str) -> Self:
        """Inverse of `path`.

        Raises:
            ValueError: not the path of a tile or bundle, or not its one spelling.
        """
        match = PATH.fullmatch(path)
        if match is None:
            raise ValueError(f"{path[:80]!r} is not the path of a tile")
        level = BUNDLES if match["level"] == "entries" else int(match["level"])
        tile = cls(level, int(match["index"].replace("/", "").replace("x", "")), int(match["width"] or TILE_WIDTH))
        if tile.path != path:
            raise ValueError(f"{path[:80]!r} is not the usual spelling of {tile.path}")
        return tile


def count_hashes(level: int, size: int) -> int:
    """How many hashes (at `BUNDLES`, entries) the level has in a log of `size` entries."""
    return size >> (max(level, 0) * TILE_HEIGHT)


def find_tile(level: int, index: int, size: int) -> Tile:
    """The tile with this index in a log of `size` entries, at its width.

    Raises:
        ValueError: the log has no such tile.
    """
    width = min(TILE_WIDTH, count_hashes(level, size) - index * TILE_WIDTH)
    if width <= 0:
        raise ValueError(f"a log of {size} entries has no tile {index} at level {level}")
    return Tile(level, index, width)


def list_tiles(size: int, *, after_size: int = 0) -> Iterator[Tile]:
    """The tiles and bundles of a log of `size` entries that one of `after_size` entries does not have, lowest first."""
    for level in range(BUNDLES, LEVELS_AT_MOST):
        count, known = count_hashes(level, size), count_hashes(level, after_size)
        if count == known:
            continue
        for index in range(known // TILE_WIDTH, -(-count // TILE_WIDTH)):
            yield find_tile(level, index, size)


def list_partial_tiles(size: int) -> list[Tile]:
    """The partial tiles of hashes on the right edge, highest level first: with them begins every check."""
    levels = [level for level in range(LEVELS_AT_MOST) if count_hashes(level, size) % TILE_WIDTH]
    return [find_tile(level, count_hashes(level, size) // TILE_WIDTH, size) for level in reversed(levels)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries of a bundle, each after its length in two bytes, big-endian."""
    return b"".join([len(entry).to_bytes(PREFIX_LENGTH_BYTES, "big") + entry for entry in entries])


def split_bundle(data: bytes, *, path: str, width: int) -> Sequence[bytes]:
    """The entries of a bundle.

    Raises:
        DamagedTileError: it does not consist of exactly `width` entries.
    """
    entries = split_entries(data, path=path)
    if len(entries) != width:
        raise DamagedTileError(path, f"it has {len(entries)} entries, not {width}")
    return entries


def split_entries(data: bytes, *, path: str) -> Sequence[bytes]:
    """The entries of a bundle of any width.

    Raises:
        DamagedTileError: it ends within an entry, or has more than a bundle may have.
    """
    if len(data) > BUNDLE_LIMIT_BYTES:
        raise DamagedTileError(path, f"it has more than {BUNDLE_LIMIT_BYTES} bytes")
    entries, at, end = list[bytes](), 0, len(data)
    while at < end and len(entries) <= ENTRIES_READ_AT_MOST:
        start = at + PREFIX_LENGTH_BYTES
        at = start + (data[at] << 8) + data[at + 1] if start <= end else end + 1
        entries.append(data[start:at])
    if len(entries) > ENTRIES_READ_AT_MOST:
        raise DamagedTileError(path, f"it has more than {ENTRIES_READ_AT_MOST} entries")
    if at != end:
        raise DamagedTileError(path, "it ends within an entry")
    return entries


def read_entries(tile: Tile, read_tile: ReadTile) -> Sequence[bytes]:
    """The entries of a bundle, however many there are. A partial bundle may have made way for the full one.

    Raises:
        TileMissingError: neither is there.
        DamagedTileError: it is no bundle.
    """
    try:
        return split_entries(read_tile(tile.path), path=tile.path)
    except TileMissingError:
        full = _read_full(tile, read_tile)
        if full is None:
            raise
        return split_entries(full, path=Tile(tile.level, tile.index).path)[: tile.width]


def read_hashes(tile: Tile, read_tile: ReadTile) -> bytes:
    """The hashes of a tile, not checked yet. A partial tile may have made way for the full one.

    Raises:
        TileMissingError: neither is there.
        DamagedTileError: it has another length.
    """
    length = tile.width * HASH_LENGTH_BYTES
    try:
        data = read_tile(tile.path)
    except TileMissingError:
        full = _read_full(tile, read_tile)
        if full is None:
            raise
        data = full[:length]
    if len(data) != length:
        raise DamagedTileError(tile.path, f"it has {len(data)} bytes, not {length}")
    return data


def _read_full(tile: Tile, read_tile: ReadTile) -> bytes | None:
    try:
        return read_tile(Tile(tile.level, tile.index).path) if tile.is_partial else None
    except TileMissingError:
        return None
