"""Makes the partial tiles of a log again from its entries, to tell a damaged tile from a log that was replaced.

Memory <= one bundle + 8 KiB for each level.
"""

from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.errors import DamagedTileError
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import (
    BUNDLES,
    LEVELS_AT_MOST,
    TILE_LENGTH_BYTES,
    TILE_WIDTH,
    ReadTile,
    find_tile,
    list_partial_tiles,
    read_entries,
)
from pqtransfer.audit.tree import hash_leaf, hash_subtree


def rebuild_edge(checkpoint: Checkpoint, read_tile: ReadTile) -> dict[str, bytes]:
    """The partial tiles by path, as the entries make them.

    Raises:
        TileMissingError: a bundle is not there.
        DamagedTileError: a bundle is damaged, or the entries do not lead to the root of the checkpoint.
    """
    levels = [b""] * LEVELS_AT_MOST
    for index in range(-(-checkpoint.size // TILE_WIDTH)):
        bundle = find_tile(BUNDLES, index, checkpoint.size)
        entries = read_entries(bundle, read_tile)
        if len(entries) != bundle.width:
            raise DamagedTileError(bundle.path, f"it has {len(entries)} entries, not {bundle.width}")
        new = b"".join(map(hash_leaf, entries))
        for level in range(LEVELS_AT_MOST):
            levels[level] += new
            if len(levels[level]) < TILE_LENGTH_BYTES:
                break
            new, levels[level] = hash_subtree(levels[level]), b""
    edge = {tile.path: levels[tile.level] for tile in list_partial_tiles(checkpoint.size)}
    TiledTree(checkpoint, lambda path: edge[path])
    return edge
