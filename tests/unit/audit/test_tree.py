"""The tree is RFC 9162's: its own examples, and for any tree every proof holds and no changed proof does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.errors import InvalidProofError
from pqtransfer.audit.tree import (
    EMPTY_ROOT,
    CompactRange,
    hash_leaf,
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.audit.trees import LEAVES, MemoryTree, hash_tree, make_entries

ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

sizes = st.integers(min_value=1, max_value=300)


def unhex(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in hashes]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """The roots of the first leaves, from the test data of Certificate Transparency, made leaf by leaf."""
    compact = CompactRange()
    for leaf in LEAVES[:size]:
        compact.append(hash_leaf(leaf))
    assert compact.root.hex() == ROOTS[size] == hash_tree(LEAVES[:size]).hex()


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, F]), (2, 3, [ROOTS[2]]), (1, 5, [ROOTS[1], B, D])],
)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, path: list[str]) -> None:
    """The audit paths of the test data of Certificate Transparency."""
    proof = prove_inclusion(index, size, MemoryTree(LEAVES).read_node)
    assert [each.hex() for each in proof] == path
    verify_inclusion(
        hash_leaf(LEAVES[index]), index=index, size=size, path=unhex(path), root=bytes.fromhex(ROOTS[size])
    )


@pytest.mark.parametrize(
    ("old_size", "size", "path"), [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [G, E, F]), (2, 5, [B, D])]
)
def test_consistency_proofs_are_the_published_ones(old_size: int, size: int, path: list[str]) -> None:
    """The proofs of the test data of Certificate Transparency."""
    proof = prove_consistency(old_size, size, MemoryTree(LEAVES).read_node)
    assert [each.hex() for each in proof] == path
    old_root, root = unhex([ROOTS[old_size], ROOTS[size]])
    verify_consistency(old_size=old_size, size=size, path=unhex(path), old_root=old_root, root=root)


def test_the_example_of_the_rfc_has_these_proofs() -> None:
    """RFC 9162, 2.1.5: seven leaves; PATH(0), PATH(3), PATH(4), PATH(6) and PROOF(3), PROOF(4), PROOF(6)."""
    entries = make_entries(7)
    _, b, c, d, _, f, j = (hash_leaf(entry) for entry in entries)
    g, h, i = hash_tree(entries[:2]), hash_tree(entries[2:4]), hash_tree(entries[4:6])
    k, m = hash_tree(entries[:4]), hash_tree(entries[4:])
    read = MemoryTree(entries).read_node
    assert [prove_inclusion(index, 7, read) for index in (0, 3, 4, 6)] == [[b, h, m], [c, g, m], [f, j, k], [i, k]]
    assert [prove_consistency(size, 7, read) for size in (3, 4, 6)] == [[c, d, g, m], [m], [i, j, k]]


@given(st.integers(min_value=0, max_value=300))
def test_appending_gives_the_root_by_definition(size: int) -> None:
    """However a tree grows, leaf by leaf or by complete subtrees, its root is MTH(D[n])."""
    entries = make_entries(size)
    tree, by_leaf, by_subtree = MemoryTree(entries), CompactRange(), CompactRange()
    for leaf in tree.leaf_hashes:
        by_leaf.append(leaf)
    while by_subtree.size < size:
        height = (size - by_subtree.size).bit_length() - 1
        by_subtree.append_subtree(tree.read_node(height, by_subtree.size >> height), height=height)
    assert by_leaf.root == by_subtree.root == hash_tree(entries)
    assert CompactRange(size, by_leaf.hashes).root == by_leaf.root


@given(sizes, st.data())
def test_every_inclusion_proof_holds_and_no_changed_one(size: int, data: st.DataObject) -> None:
    """Any leaf of any tree; then another index, size, leaf, root, and a path with one bit, hash or end changed."""
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    entries = make_entries(size)
    leaf, root = hash_leaf(entries[index]), hash_tree(entries)
    path = prove_inclusion(index, size, MemoryTree(entries).read_node)
    verify_inclusion(leaf, index=index, size=size, path=path, root=root)
    other = data.draw(st.integers(min_value=-1, max_value=size + 1).filter(lambda number: number != index))
    for changed in list_changed_paths(path, data):
        refuse_inclusion(leaf, index, size, changed, root)
    refuse_inclusion(leaf, other, size, path, root)
    refuse_inclusion(flip_bit(leaf), index, size, path, root)
    refuse_inclusion(leaf, index, size, path, flip_bit(root))


@given(sizes, st.data())
def test_every_consistency_proof_holds_and_no_changed_one(size: int, data: st.DataObject) -> None:
    """Any two trees of one history; then two histories, another size, and a changed path."""
    old_size = data.draw(st.integers(min_value=0, max_value=size))
    entries = make_entries(size)
    old_root, root = hash_tree(entries[:old_size]), hash_tree(entries)
    path = prove_consistency(old_size, size, MemoryTree(entries).read_node)
    verify_consistency(old_size=old_size, size=size, path=path, old_root=old_root, root=root)
    for changed in list_changed_paths(path, data):
        refuse_consistency(old_size, size, changed, old_root, root)
    refuse_consistency(old_size, size, path, flip_bit(old_root), root)
    if old_size:
        refuse_consistency(old_size, size, path, old_root, flip_bit(root))
        refuse_consistency(size + 1, size, path, old_root, root)
        other = [b"another", *entries[1:]]
        refuse_consistency(old_size, size, path, hash_tree(other[:old_size]), root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    """A caller's mistake is not turned into a proof of something else."""
    with pytest.raises(ValueError, match="leaf"):
        prove_inclusion(index, size, MemoryTree(LEAVES).read_node)


def test_a_larger_tree_is_not_the_beginning_of_a_smaller() -> None:
    """A caller's mistake again."""
    with pytest.raises(ValueError, match="beginning"):
        prove_consistency(9, 8, MemoryTree(LEAVES).read_node)


def test_a_range_that_is_no_range_is_refused() -> None:
    """The state of a log that lost a hash, or that is asked to go on at a place where it is not."""
    with pytest.raises(ValueError, match="2 hashes"):
        CompactRange(3, [EMPTY_ROOT])
    with pytest.raises(ValueError, match="cannot follow"):
        CompactRange(1, [EMPTY_ROOT]).append_subtree(EMPTY_ROOT, height=1)


def list_changed_paths(path: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """One hash more at either end; and one bit, one hash or the order changed."""
    changed = [[*path, EMPTY_ROOT], [EMPTY_ROOT, *path]]
    if path:
        at = data.draw(st.integers(min_value=0, max_value=len(path) - 1))
        changed += [path[:at] + path[at + 1 :], [*path[:at], flip_bit(path[at]), *path[at + 1 :]]]
        changed += [[*path[:at], path[at][:-1], *path[at + 1 :]]]
    if len(path) > 1:
        changed.append(path[::-1])
    return changed


def flip_bit(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def refuse_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    with pytest.raises(InvalidProofError):
        verify_inclusion(leaf, index=index, size=size, path=path, root=root)


def refuse_consistency(old_size: int, size: int, path: list[bytes], old_root: bytes, root: bytes) -> None:
    with pytest.raises(InvalidProofError):
        verify_consistency(old_size=old_size, size=size, path=path, old_root=old_root, root=root)
