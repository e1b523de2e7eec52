"""A proof that one entry is in the log, as a file that anyone can check offline (C2SP tlog-proof).

The file carries the entry itself as its extra data, the path from it to the root, and the signed checkpoint.
"""

import re
from dataclasses import dataclass
from typing import Self

from pqtransfer.audit.checkpoints import SignedCheckpoint, TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import MalformedProofError
from pqtransfer.audit.notes import NOTE_LIMIT_BYTES
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import ENTRY_LIMIT_BYTES
from pqtransfer.audit.tree import HASH_LENGTH_BYTES, hash_leaf, verify_inclusion
from pqtransfer.crypto.canonical_json import decode_base64, encode_base64

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
PATH_AT_MOST = 63
PROOF_LIMIT_BYTES = NOTE_LIMIT_BYTES + 2 * ENTRY_LIMIT_BYTES

INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True)
class EntryProof:
    """An entry, its number, its path to the root, and the checkpoint as it was published. Nothing is verified yet."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint_note: bytes

    def to_bytes(self) -> bytes:
        lines = [PROOF_HEADER, f"extra {encode_base64(self.entry)}", f"index {self.index}"]
        lines += [encode_base64(node) for node in self.path]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint_note

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a proof.

        Raises:
            MalformedProofError: too large, not a proof, or one without the entry.
        """
        if len(data) > PROOF_LIMIT_BYTES:
            raise MalformedProofError(f"it has {len(data)} bytes; at most {PROOF_LIMIT_BYTES} are read")
        head, separator, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise MalformedProofError("it is not text") from None
        if len(lines) < 3 or lines[0] != PROOF_HEADER or not lines[1].startswith("extra ") or not separator:
            raise MalformedProofError(f"it does not begin with {PROOF_HEADER} and the entry")
        index = INDEX.fullmatch(lines[2])
        if index is None or len(lines) > 3 + PATH_AT_MOST:
            raise MalformedProofError("it has no index, or too long a path")
        try:
            entry, path = decode_base64(lines[1].removeprefix("extra ")), [decode_base64(line) for line in lines[3:]]
        except ValueError as error:
            raise MalformedProofError(f"a line {error}") from None
        if any(len(node) != HASH_LENGTH_BYTES for node in path) or len(entry) > ENTRY_LIMIT_BYTES:
            raise MalformedProofError("its entry or a hash of its path has a length that none has")
        return cls(entry, int(index[1]), tuple(path), note)

    def check(self, policy: TrustPolicy) -> SignedCheckpoint:
        """Check that the entry is in the log that these keys sign; tells which checkpoint says so.

        Raises:
            MalformedNoteError, MalformedCheckpointError, UntrustedCheckpointError: the checkpoint is not the log's.
            InvalidProofError: the entry is not what the checkpoint commits to.
        """
        signed = open_checkpoint(self.checkpoint_note, policy)
        checkpoint = signed.checkpoint
        leaf = hash_leaf(self.entry)
        verify_inclusion(leaf, index=self.index, size=checkpoint.size, path=self.path, root=checkpoint.root)
        return signed


def prove_entry(entry: bytes, index: int, *, tree: TiledTree, checkpoint_note: bytes) -> EntryProof:
    """The proof of entry `index`. The tree is that of the checkpoint in the note.

    Raises:
        ValueError: the tree has no such entry.
        TileMissingError, DamagedTileError: the tiles do not give a proof.
    """
    return EntryProof(entry, index, tuple(tree.prove_inclusion(index)), checkpoint_note)
