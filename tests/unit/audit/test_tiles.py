"""Tiles stand where C2SP tlog-tiles says, and nothing of a tile is used that the checkpoint does not commit to."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.errors import DamagedTileError, TileMissingError
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import (
    BUNDLE_LIMIT_BYTES,
    BUNDLES,
    ENTRY_LIMIT_BYTES,
    Tile,
    encode_bundle,
    find_tile,
    list_tiles,
    split_bundle,
    split_entries,
)
from pqtransfer.audit.tree import verify_consistency, verify_inclusion
from tests.unit.audit.keys import ORIGIN
from tests.unit.audit.trees import MemoryTree, hash_tree, make_entries, make_log, make_reader

SIZE = 256 * 256 + 256 * 3 + 77


@cache
def make_large_log() -> tuple[list[bytes], dict[str, bytes], Checkpoint]:
    entries = make_entries(SIZE)
    return entries, make_log(entries), Checkpoint(ORIGIN, SIZE, hash_tree(entries))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(1, 1000, 5), "tile/1/x001/000.p/5"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(7, 5, 255), "tile/7/005.p/255"),
        (Tile(BUNDLES, 273, 112), "tile/entries/273.p/112"),
        (Tile(BUNDLES, 1234067), "tile/entries/x001/x234/067"),
    ],
)
def test_a_tile_has_one_path(tile: Tile, path: str) -> None:
    """The examples of the specification, and the limits."""
    assert tile.path == path
    assert Tile.from_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/1", "tile/0/0001", "tile/0/x000/001", "tile/00/001", "tile/8/001", "tile/-1/001",
        "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/01", "tile/0/001.p/", "tile/0/001.p", "tile/0/001/002",
        "tile/0/x001", "tile/data/001", "/tile/0/001", "tile/0/001/", "tile/0/../001", "tile/0/x001/x234/067\n",
        "tile/0/" + "x001/" * 30 + "001", "tile/0/\u0661\u0661\u0661",
    ],
)  # fmt: skip
def test_another_spelling_is_no_path(path: str) -> None:
    """A store that is asked by path is never asked for anything else."""
    with pytest.raises(ValueError, match=r"path|spelling"):
        Tile.from_path(path)


def test_a_log_of_70000_entries_has_the_tiles_of_the_specification() -> None:
    """273 full tiles and one of 112; one full and one of 17 above; one of 1 above that."""
    tiles = [tile for tile in list_tiles(70_000) if tile.level >= 0]
    partial = [(tile.level, tile.width) for tile in tiles if tile.is_partial]
    assert partial == [(0, 112), (1, 17), (2, 1)]
    assert [sum(tile.level == level for tile in tiles) for level in (0, 1, 2, 3)] == [274, 2, 1, 0]
    assert sum(tile.level == BUNDLES for tile in list_tiles(70_000)) == 274


def test_a_log_of_256_entries_has_a_tile_of_one_hash_above() -> None:
    """The example of the specification."""
    assert [tile.path for tile in list_tiles(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@given(st.integers(min_value=0, max_value=70_000), st.integers(min_value=0, max_value=70_000))
def test_growing_adds_what_is_missing(first: int, second: int) -> None:
    """The tiles of a step are those of the larger log without those of the smaller."""
    old, new = sorted((first, second))
    assert set(list_tiles(new, after_size=old)) == set(list_tiles(new)) - set(list_tiles(old))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    """Empty entries too; and a bundle that is cut, longer, or of another width is refused."""
    data = encode_bundle(entries)
    assert list(split_bundle(data, path="b", width=len(entries))) == entries
    for damaged in (data[:-1], data + b"\0", data + b"\0\0"):
        with pytest.raises(DamagedTileError):
            split_bundle(damaged, path="b", width=len(entries))


def test_an_entry_has_65535_bytes_at_most() -> None:
    """Its length is two bytes: the limit is read back, one byte more cannot be written."""
    largest = bytes(ENTRY_LIMIT_BYTES)
    assert list(split_bundle(encode_bundle([largest]), path="b", width=1)) == [largest]
    with pytest.raises(OverflowError):
        encode_bundle([largest + b"x"])


@pytest.mark.parametrize("data", [bytes(2 * 513), bytes(BUNDLE_LIMIT_BYTES + 1)], ids=["entries", "bytes"])
def test_a_bundle_is_read_within_limits(data: bytes) -> None:
    """Twice as many entries as a bundle may have, and as many bytes as it may have: more is not even split."""
    with pytest.raises(DamagedTileError, match="more than"):
        split_entries(data, path="b")


def test_a_whole_level_is_read_with_a_small_cache() -> None:
    """Every tile of the lowest level, and the first one again, which is not kept any more."""
    entries, files, checkpoint = make_large_log()
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        return files[path]

    tree = TiledTree(checkpoint, read)
    for index in [*range(SIZE // 256 + 1), 0]:
        leaves = MemoryTree(entries[index * 256 : index * 256 + 256]).leaf_hashes
        assert tree.read_tile(0, index) == b"".join(leaves)
    assert reads.count("tile/0/000") == 2
    assert reads.count("tile/1/000") == 1


@settings(max_examples=40)
@given(st.data())
def test_proofs_from_tiles_hold(data: st.DataObject) -> None:
    """Any entry of a log of three levels, and any earlier size."""
    entries, files, checkpoint = make_large_log()
    tree = TiledTree(checkpoint, make_reader(files))
    index = data.draw(st.integers(min_value=0, max_value=SIZE - 1))
    leaf = MemoryTree(entries[index : index + 1]).leaf_hashes[0]
    verify_inclusion(leaf, index=index, size=SIZE, path=tree.prove_inclusion(index), root=checkpoint.root)
    old_size = data.draw(st.integers(min_value=0, max_value=2000))
    path = tree.prove_consistency(old_size)
    old_root = hash_tree(entries[:old_size])
    verify_consistency(old_size=old_size, size=SIZE, path=path, old_root=old_root, root=checkpoint.root)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 600])
def test_the_edge_of_any_tree_leads_to_its_root(size: int) -> None:
    """And to what appending needs; an empty tree has no tiles at all."""
    entries = make_entries(size)
    tree = TiledTree(Checkpoint(ORIGIN, size, hash_tree(entries)), make_reader(make_log(entries)))
    assert tree.compact_range.root == hash_tree(entries)
    with pytest.raises(ValueError, match="no tile"):
        tree.read_tile(0, size // 256 + 1)
    with pytest.raises(ValueError, match="no"):
        tree.read_node(0, size)


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize(
    "path", ["tile/0/000", "tile/0/257", "tile/0/259.p/77", "tile/1/000", "tile/1/001.p/3", "tile/2/000.p/1"]
)
def test_a_changed_tile_is_never_used(path: str) -> None:
    """One bit, two hashes swapped, one hash less, the tile of another place, no tile: each ends in a named error."""
    _, files, checkpoint = make_large_log()
    good = files[path]
    for bad in (
        bytes([good[0] ^ 1]) + good[1:],
        good[32:64] + good[:32] + good[64:],
        good[:-32],
        files["tile/0/001"],
        b"",
    ):
        if bad == good:
            continue
        with pytest.raises(DamagedTileError, match="damaged"):
            read_everything(checkpoint, files | {path: bad}, path)
    with pytest.raises(TileMissingError, match="restore"):
        read_everything(checkpoint, {name: data for name, data in files.items() if name != path}, path)


def read_everything(checkpoint: Checkpoint, files: dict[str, bytes], path: str) -> None:
    tile = Tile.from_path(path)
    tree = TiledTree(checkpoint, make_reader(files))
    assert find_tile(tile.level, tile.index, SIZE) == tile
    tree.read_tile(tile.level, tile.index)
