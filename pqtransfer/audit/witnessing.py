"""The witness: it signs a checkpoint only when that continues the last one it signed. So it never signs two histories.

What it signed last is the one thing it must remember, and must move forward before it gives a signature away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, cosign, open_checkpoint
from pqtransfer.audit.errors import RefusedCosignatureError
from pqtransfer.audit.histories import compare_histories
from pqtransfer.audit.note_keys import NoteSigner
from pqtransfer.audit.notes import Note
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import ReadTile


@dataclass(frozen=True)
class Cosigned:
    """The checkpoint to remember (first), and the note to publish (then)."""

    checkpoint: Checkpoint
    note: Note


def witness_checkpoint(
    data: bytes,
    *,
    policy: TrustPolicy,
    last: Checkpoint | None,
    read_tile: ReadTile,
    signers: Iterable[NoteSigner],
    time_seconds: int,
) -> Cosigned:
    """Check a published checkpoint and cosign it.

    Args:
        data: the checkpoint as it is published.
        policy: the keys of the log.
        last: the checkpoint that this witness cosigned last; None only before the first.
        read_tile: reads the log's tiles.
        signers: the witness's keys.
        time_seconds: POSIX time.

    Raises:
        MalformedNoteError, MalformedCheckpointError, UntrustedCheckpointError: not a checkpoint of this log.
        RefusedCosignatureError: it does not continue `last`; the findings say how. Nobody may sign it: alert.
        TileMissingError, DamagedTileError: the tiles do not lead to its root.
    """
    checkpoint = open_checkpoint(data, policy).checkpoint
    TiledTree(checkpoint, read_tile)
    findings = [] if last is None else compare_histories(last, checkpoint, read_tile)
    if findings:
        raise RefusedCosignatureError(policy.origin, [str(finding) for finding in findings])
    return Cosigned(checkpoint, cosign(Note.from_bytes(data), signers, time_seconds=time_seconds))
