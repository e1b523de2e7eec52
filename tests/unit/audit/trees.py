"""A tree in memory, by the definitions of RFC 9162 and nothing else: what the tests compare with."""

from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.tiles import BUNDLES, TILE_HEIGHT, TILE_WIDTH, ReadTile, encode_bundle, list_tiles
from pqtransfer.audit.tree import EMPTY_ROOT, hash_leaf, hash_node, hash_subtree

LEAVES = [bytes.fromhex(leaf) for leaf in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
"""The eight leaves that every implementation of RFC 6962 is tested with."""


def make_entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def hash_tree(entries: list[bytes]) -> bytes:
    """MTH(D[n]), by its recursive definition."""
    if len(entries) <= 1:
        return hash_leaf(entries[0]) if entries else EMPTY_ROOT
    middle = 1 << ((len(entries) - 1).bit_length() - 1)
    return hash_node(hash_tree(entries[:middle]), hash_tree(entries[middle:]))


class MemoryTree:
    """Reads nodes of a list of entries, and refuses a node that the tree does not have."""

    def __init__(self, entries: list[bytes]) -> None:
        self.leaf_hashes = [hash_leaf(entry) for entry in entries]

    def read_node(self, height: int, index: int) -> bytes:
        leaves = self.leaf_hashes[index << height : (index + 1) << height]
        assert len(leaves) == 1 << height, "not a complete subtree of this tree"
        return hash_subtree(b"".join(leaves))


def make_log(entries: list[bytes]) -> dict[str, bytes]:
    """Every tile and bundle of a log, by path, each made from its definition: MTH of a range of entries."""
    tree, files = MemoryTree(entries), {}
    for tile in list_tiles(len(entries)):
        first = tile.index * TILE_WIDTH
        places = range(first, first + tile.width)
        if tile.level == BUNDLES:
            files[tile.path] = encode_bundle([entries[place] for place in places])
        else:
            files[tile.path] = b"".join(tree.read_node(tile.level * TILE_HEIGHT, place) for place in places)
    return files


def make_reader(files: dict[str, bytes]) -> ReadTile:
    def read(path: str) -> bytes:
        if path not in files:
            raise TileMissingError(path)
        return files[path]

    return read
