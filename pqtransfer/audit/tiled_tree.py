"""A log's tree, read from its tiles, with every tile checked against the root of a checkpoint before it is used.

The partial tiles of the right edge are hashed into the root. A full tile is hashed into the place that its parent has
for it. So what is read is what the checkpoint commits to, whoever keeps the tiles.
Memory <= CACHED_TILES * 8 KiB, and 8 KiB for each level.
"""

from collections import OrderedDict

from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.errors import DamagedTileError
from pqtransfer.audit.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    ReadTile,
    Tile,
    find_tile,
    list_partial_tiles,
    read_hashes,
)
from pqtransfer.audit.tree import (
    HASH_LENGTH_BYTES,
    CompactRange,
    fold_roots,
    hash_subtree,
    list_subtrees,
    prove_consistency,
    prove_inclusion,
)

CACHED_TILES = 64


class TiledTree:
    """The tree of one checkpoint.

    Raises (here, and whenever something is read):
        TileMissingError: a tile is not there.
        DamagedTileError: a tile is not what the checkpoint commits to.
    """

    def __init__(self, checkpoint: Checkpoint, read_tile: ReadTile) -> None:
        self.checkpoint = checkpoint
        self._read = read_tile
        self._cache: OrderedDict[Tile, bytes] = OrderedDict()
        self._edge = {tile: read_hashes(tile, read_tile) for tile in list_partial_tiles(checkpoint.size)}
        roots = [_hash_part(data, height, index) for tile, data in self._edge.items() for height, index in _parts(tile)]
        if fold_roots(roots) != checkpoint.root:
            raise DamagedTileError(
                next(iter(self._edge)).path, "the tiles of the right edge do not lead to the root of the checkpoint"
            )
        self._roots = tuple(roots)

    @property
    def compact_range(self) -> CompactRange:
        """What it takes to append to this tree."""
        return CompactRange(self.checkpoint.size, self._roots)

    def read_tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile, checked.

        Raises:
            ValueError: the tree has no such tile.
        """
        tile = find_tile(level, index, self.checkpoint.size)
        if tile in self._edge:
            return self._edge[tile]
        if tile in self._cache:
            self._cache.move_to_end(tile)
            return self._cache[tile]
        parent, place = tile.parent
        expected = _slice(self.read_tile(level + 1, parent), place, 1)
        data = read_hashes(tile, self._read)
        if hash_subtree(data) != expected:
            raise DamagedTileError(tile.path, "its hashes do not lead to the root of the checkpoint")
        self._cache[tile] = data
        if len(self._cache) > CACHED_TILES:
            self._cache.popitem(last=False)
        return data

    def read_node(self, height: int, index: int) -> bytes:
        """The hash of the complete subtree over the leaves [index * 2^height, (index + 1) * 2^height)."""
        level, rest = divmod(height, TILE_HEIGHT)
        first = index << rest
        data = self.read_tile(level, first // TILE_WIDTH)
        hashes = _slice(data, first % TILE_WIDTH, 1 << rest)
        if len(hashes) != HASH_LENGTH_BYTES << rest:
            raise ValueError(f"a tree of {self.checkpoint.size} leaves has no node {index} at height {height}")
        return hash_subtree(hashes)

    def prove_inclusion(self, index: int) -> list[bytes]:
        """The audit path of entry `index` to this checkpoint's root."""
        return prove_inclusion(index, self.checkpoint.size, self.read_node)

    def prove_consistency(self, old_size: int) -> list[bytes]:
        """The proof that the first `old_size` entries were all there was at that size."""
        return prove_consistency(old_size, self.checkpoint.size, self.read_node)


def _parts(tile: Tile) -> list[tuple[int, int]]:
    """(height, index) within a partial tile of the complete subtrees that its hashes make up."""
    return list(list_subtrees(0, tile.width))


def _hash_part(data: bytes, height: int, index: int) -> bytes:
    return hash_subtree(_slice(data, index << height, 1 << height))


def _slice(data: bytes, first: int, count: int) -> bytes:
    return data[first * HASH_LENGTH_BYTES : (first + count) * HASH_LENGTH_BYTES]
