"""Compares two checkpoints of one log: is the later one the earlier one with entries added, and if not, what is it?"""

from pqtransfer.audit.checkpoints import Checkpoint
from pqtransfer.audit.errors import DamagedTileError, InvalidProofError, TileMissingError
from pqtransfer.audit.findings import Finding, FindingKind
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import ReadTile
from pqtransfer.audit.tree import verify_consistency


def compare_histories(trusted: Checkpoint, shown: Checkpoint, read_tile: ReadTile) -> list[Finding]:
    """What is wrong with a checkpoint that is shown, by one that was verified before. Both are signed by the log.

    Args:
        trusted: an earlier checkpoint, or one that another reader was shown.
        shown: the one that the log shows now.
        read_tile: the log's tiles, as they are shown now.
    """
    if shown.origin != trusted.origin:
        return [Finding(FindingKind.TREE_REPLACED, "checkpoint", explanation=f"it is of {shown.origin}")]
    old, new = sorted((trusted, shown), key=lambda checkpoint: checkpoint.size)
    findings = []
    if shown.size < trusted.size:
        explanation = f"{shown.size} entries are shown, {trusted.size} were signed before"
        findings.append(Finding(FindingKind.LOG_ROLLED_BACK, "checkpoint", shown.size, trusted.size - 1, explanation))
    proof = _prove(old, new, read_tile)
    if isinstance(proof, Finding):
        return findings or [proof]
    try:
        verify_consistency(old_size=old.size, size=new.size, path=proof, old_root=old.root, root=new.root)
    except InvalidProofError:
        explanation = f"the log has signed two histories, of {old.size} and of {new.size} entries"
        findings.append(Finding(FindingKind.SPLIT_VIEW, "checkpoint", old.size, new.size, explanation))
    return findings


def _prove(old: Checkpoint, new: Checkpoint, read_tile: ReadTile) -> list[bytes] | Finding:
    if old.size == new.size:
        return []
    try:
        return TiledTree(new, read_tile).prove_consistency(old.size)
    except (TileMissingError, DamagedTileError) as error:
        return name_tile_error(error)


def name_tile_error(error: TileMissingError | DamagedTileError) -> Finding:
    """The finding that says what the error says."""
    kind = FindingKind.TILE_MISSING if isinstance(error, TileMissingError) else FindingKind.TILE_CHANGED
    return Finding(kind, error.path, explanation=str(error))
