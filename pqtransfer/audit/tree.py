"""The Merkle tree of RFC 9162, section 2.1 (SHA-256): hashes, inclusion and consistency proofs, and their verification.

Nothing here holds a tree. A proof is made from nodes that the caller can read: `read_node(height, index)` is the hash
of the complete subtree over the leaves [index * 2^height, (index + 1) * 2^height).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

from pqtransfer.audit.errors import InvalidProofError

HASH_LENGTH_BYTES = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
EMPTY_ROOT = sha256(b"").digest()

ReadNode: TypeAlias = Callable[[int, int], bytes]


def hash_leaf(entry: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00 | entry)."""
    return sha256(LEAF_PREFIX + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 | left | right)."""
    return sha256(NODE_PREFIX + left + right).digest()


def hash_level(hashes: bytes) -> bytes:
    """The nodes above an even number of nodes, all as one string: the step that the speed of a check depends on."""
    return b"".join(
        [
            sha256(NODE_PREFIX + hashes[at : at + 2 * HASH_LENGTH_BYTES]).digest()
            for at in range(0, len(hashes), 2 * HASH_LENGTH_BYTES)
        ]
    )


def hash_subtree(hashes: bytes) -> bytes:
    """The root over 2^n hashes that stand one after the other."""
    while len(hashes) > HASH_LENGTH_BYTES:
        hashes = hash_level(hashes)
    return hashes


class CompactRange:
    """The roots of the complete subtrees that a tree of `size` leaves consists of, largest first.

    It is all that appending and the root need: memory <= 32 * log2(size) bytes, and a leaf costs O(log size) at worst.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(h) != HASH_LENGTH_BYTES for h in self._hashes):
            raise ValueError(f"a range of {size} leaves has {max(size, 0).bit_count()} hashes of 32 bytes")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    @property
    def root(self) -> bytes:
        """The Merkle tree hash; of an empty tree, the SHA-256 of nothing."""
        return fold_roots(self._hashes)

    def append(self, leaf_hash: bytes) -> None:
        self.append_subtree(leaf_hash, height=0)

    def append_subtree(self, root: bytes, *, height: int) -> None:
        """Append a complete subtree of 2^height leaves. The tree's size must be a multiple of that."""
        if self.size & ((1 << height) - 1):
            raise ValueError(f"a subtree of 2^{height} leaves cannot follow {self.size} leaves")
        rest = self.size >> height
        while rest & 1:
            root = hash_node(self._hashes.pop(), root)
            rest >>= 1
        self._hashes.append(root)
        self.size += 1 << height


def fold_roots(roots: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = hash_node(left, root)
    return root


def list_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """(height, index) of the complete subtrees of [start, end); `start` is 0 or where a subtree of a tree begins."""
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def prove_inclusion(index: int, size: int, read_node: ReadNode) -> list[bytes]:
    """PATH(index, D[size]): the audit path of a leaf, from the leaf's sibling to the root's child."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            path.append(_hash_range(middle, end, read_node))
            end = middle
        else:
            path.append(_hash_range(start, middle, read_node))
            start = middle
    return path[::-1]


def prove_consistency(old_size: int, size: int, read_node: ReadNode) -> list[bytes]:
    """PROOF(old_size, D[size]): that the first `old_size` leaves are the same. Empty for none and for all of them."""
    if not 0 <= old_size <= size:
        raise ValueError(f"{old_size} leaves are not the beginning of {size} leaves")
    if old_size in {0, size}:
        return []
    start, end, path, is_known = 0, size, list[bytes](), True
    while end != old_size:
        middle = start + _largest_power_below(end - start)
        if old_size <= middle:
            path.append(_hash_range(middle, end, read_node))
            end = middle
        else:
            path.append(_hash_range(start, middle, read_node))
            start, is_known = middle, False
    if not is_known:
        path.append(_hash_range(start, end, read_node))
    return path[::-1]


def verify_inclusion(leaf_hash: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check an audit path (RFC 9162, 2.1.3.2).

    Raises:
        InvalidProofError: the leaf is not proven to be number `index` of the tree with this root.
    """
    if not 0 <= index < size:
        raise InvalidProofError(f"there is no leaf {index} in a tree of {size} leaves")
    left, right, found = index, size - 1, leaf_hash
    for node in path:
        if right == 0 or len(node) != HASH_LENGTH_BYTES:
            raise InvalidProofError("the path of the entry has too many hashes, or one that is no hash")
        if left & 1 or left == right:
            found = hash_node(node, found)
            while left and not left & 1:
                left, right = left >> 1, right >> 1
        else:
            found = hash_node(found, node)
        left, right = left >> 1, right >> 1
    if right != 0 or found != root:
        raise InvalidProofError("the path of the entry does not lead to the root of the checkpoint")


def verify_consistency(*, old_size: int, size: int, path: Sequence[bytes], old_root: bytes, root: bytes) -> None:
    """Check that a tree is the beginning of another (RFC 9162, 2.1.4.2).

    Raises:
        InvalidProofError: it is not proven to be.
    """
    if not 0 <= old_size <= size:
        raise InvalidProofError(f"a tree of {size} leaves cannot continue one of {old_size}")
    if old_size in {0, size}:
        if path or old_root != (root if old_size else EMPTY_ROOT):
            raise InvalidProofError("two trees of one size have two roots, or the proof has hashes that it needs not")
        return
    nodes = list(path) if old_size & (old_size - 1) else [old_root, *path]
    if not nodes or any(len(node) != HASH_LENGTH_BYTES for node in nodes):
        raise InvalidProofError("the proof of consistency has too few hashes, or one that is no hash")
    left, right = old_size - 1, size - 1
    while left & 1:
        left, right = left >> 1, right >> 1
    old_found = found = nodes[0]
    for node in nodes[1:]:
        if right == 0:
            raise InvalidProofError("the proof of consistency has too many hashes")
        if left & 1 or left == right:
            old_found, found = hash_node(node, old_found), hash_node(node, found)
            while left and not left & 1:
                left, right = left >> 1, right >> 1
        else:
            found = hash_node(found, node)
        left, right = left >> 1, right >> 1
    if right != 0 or old_found != old_root or found != root:
        raise InvalidProofError("the later tree does not contain the earlier one as it was")


def _hash_range(start: int, end: int, read_node: ReadNode) -> bytes:
    return fold_roots([read_node(height, index) for height, index in list_subtrees(start, end)])


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
