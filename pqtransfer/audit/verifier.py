"""Verifies a log from its files and public keys alone: no cloud, no network, no trust in who keeps the files.

Integrity: the checkpoint is signed, continues what was trusted before, and every entry hashes into its root.
Completeness: the numbers of each producer have no hole. It reads bundle after bundle:
memory <= 2 * 16 MiB for a bundle of the largest entries + 0.5 MiB of tiles + the findings
+ 300 bytes for each producer + 150 for each of its gaps, of which 1000 are remembered.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Protocol

from pqtransfer.audit.checkpoints import Checkpoint, TrustPolicy, find_revoked_signer, open_checkpoint
from pqtransfer.audit.errors import DamagedTileError, MalformedEventError, TileMissingError
from pqtransfer.audit.events import read_event_header
from pqtransfer.audit.findings import Finding, FindingKind, Report
from pqtransfer.audit.histories import compare_histories, name_tile_error
from pqtransfer.audit.positions import Numbering, Placement
from pqtransfer.audit.rebuilding import rebuild_edge
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, ReadTile, Tile, find_tile, read_entries
from pqtransfer.audit.tree import HASH_LENGTH_BYTES, LEAF_PREFIX
from pqtransfer.errors import IntegrityError

GAPS_REPORTED = 1000
"""Of one producer; an event that comes later than so many gaps is taken for a repetition."""


class VisitEntry(Protocol):
    """Is told of every entry that the root commits to, in order: what was changed or added never comes here."""

    def __call__(self, index: int, entry: bytes) -> None: ...


def verify_log(
    checkpoint_note: bytes | None,
    policy: TrustPolicy,
    read_tile: ReadTile,
    *,
    trusted: Checkpoint | Sequence[Checkpoint] | None = None,
    first_index: int = 0,
    numberings: Mapping[str, Numbering] | None = None,
    expected_numbers: Mapping[str, int] | None = None,
    visit: VisitEntry | None = None,
    earlier: Report | None = None,
    may_go_on: Callable[[], bool] | None = None,
) -> Report:
    """Verify a log; whatever is wrong is in the report, not raised.

    Args:
        checkpoint_note: what stands at `checkpoint`; None when nothing does.
        policy: whose signatures it must carry.
        read_tile: reads the log's files.
        trusted: a checkpoint that was verified before, of this log; or several.
        first_index: the first entry to read: for an incremental check the size of `trusted`, after a purge the first
            entry that was kept. It is rounded down to the beginning of its bundle for integrity.
        numberings: with `first_index`, those of the report up to there.
        expected_numbers: the last number that each producer says it has sent, where that is known from elsewhere.
        visit: is told of the entries on the way, so that what is said of a log is said of what was verified.
        earlier: of a check in parts, what the parts before this one have found, up to `first_index`.
        may_go_on: is asked before each bundle but the first; when it says no, the report is not finished.
    """
    report = _begin_report(first_index, numberings or {}, earlier)
    if checkpoint_note is None:
        report.add_once(
            Finding(FindingKind.CHECKPOINT_MISSING, "checkpoint", explanation="the log shows no checkpoint")
        )
        return report
    try:
        signed = open_checkpoint(checkpoint_note, policy)
    except IntegrityError as error:
        report.add_once(name_distrust(checkpoint_note, policy, error))
        return report
    report.checkpoint, report.witness_times = signed.checkpoint, dict(signed.witness_times)
    for known in [trusted] if isinstance(trusted, Checkpoint) else trusted or ():
        for finding in compare_histories(known, signed.checkpoint, read_tile):
            report.add_once(finding)
            report.is_continuation = False
    tree = _open_tree(signed.checkpoint, read_tile, report)
    if tree is not None:
        _verify_entries(tree, read_tile, report, visit, may_go_on)
    if report.is_finished:
        _verify_numbers(report, expected_numbers or {})
    return report


def _begin_report(first_index: int, numberings: Mapping[str, Numbering], earlier: Report | None) -> Report:
    report = Report(first_index=first_index, numberings={name: each.copy() for name, each in numberings.items()})
    report.next_index = first_index
    if earlier is not None:
        report.first_index, report.entries_checked = earlier.first_index, earlier.entries_checked
        report.findings, report.findings_left_out = list(earlier.findings), earlier.findings_left_out
    return report


def name_distrust(note: bytes, policy: TrustPolicy, error: IntegrityError, *, place: str = "checkpoint") -> Finding:
    """Why a checkpoint is not believed: a key that was revoked has signed it, or else what `error` says."""
    with suppress(IntegrityError):
        key = find_revoked_signer(note, policy)
        if key is not None:
            explanation = f"it is signed by {key.name}+{key.key_id.hex()}, which was revoked: somebody holds that key"
            return Finding(FindingKind.KEY_REVOKED, place, explanation=explanation)
    return Finding(FindingKind.CHECKPOINT_UNTRUSTED, place, explanation=str(error))


def _open_tree(checkpoint: Checkpoint, read_tile: ReadTile, report: Report) -> TiledTree | None:
    """The tree of the checkpoint; where tiles of its right edge are wrong, with what the entries say they should be."""
    try:
        return TiledTree(checkpoint, read_tile)
    except (TileMissingError, DamagedTileError):
        pass
    try:
        edge = rebuild_edge(checkpoint, read_tile)
    except TileMissingError as error:
        explanation = f"{error.path} and tiles of the log's end are not there"
        report.add_once(Finding(FindingKind.LOG_TRUNCATED, error.path, explanation=explanation))
        return None
    except DamagedTileError as error:
        explanation = "neither tiles nor entries lead to the root that the log has signed"
        report.add_once(Finding(FindingKind.TREE_REPLACED, error.path, explanation=explanation))
        return None
    for path, data in edge.items():
        try:
            if read_tile(path) != data:
                report.add_once(name_tile_error(DamagedTileError(path, "its hashes are not those of the entries")))
        except TileMissingError as error:
            report.add_once(name_tile_error(error))
    return TiledTree(checkpoint, lambda path: edge[path] if path in edge else read_tile(path))


def _verify_entries(
    tree: TiledTree,
    read_tile: ReadTile,
    report: Report,
    visit: VisitEntry | None,
    may_go_on: Callable[[], bool] | None,
) -> None:
    size, begin = tree.checkpoint.size, report.next_index
    for index in range(begin // TILE_WIDTH, -(-size // TILE_WIDTH)):
        if may_go_on is not None and index > begin // TILE_WIDTH and not may_go_on():
            report.is_finished = False
            return
        bundle = find_tile(BUNDLES, index, size)
        report.next_index = max(begin, index * TILE_WIDTH + bundle.width)
        try:
            expected = tree.read_tile(0, index)
        except (TileMissingError, DamagedTileError) as error:
            report.add(name_tile_error(error))
            continue
        first = index * TILE_WIDTH
        try:
            found = read_entries(bundle, read_tile)
            entries, indexes = _keep_true(found, bundle, expected, report)
        except DamagedTileError as error:
            report.add(Finding(FindingKind.BUNDLE_DAMAGED, bundle.path, first, None, str(error)))
            continue
        except TileMissingError as error:
            is_last = first + bundle.width == size
            kind = FindingKind.LOG_TRUNCATED if is_last else FindingKind.ENTRIES_MISSING
            finding = Finding(kind, bundle.path, first, first + bundle.width - 1, str(error))
            report.add(finding)
            continue
        fresh = max(begin - first, 0)
        _take_numbers(entries[fresh:], first + fresh, report)
        report.entries_checked += len(entries) - fresh
        if visit is not None:
            for at, entry in zip(indexes, entries, strict=True):
                if at >= begin:
                    visit(at, entry)


def _keep_true(
    entries: Sequence[bytes], bundle: Tile, expected: bytes, report: Report
) -> tuple[Sequence[bytes], Sequence[int]]:
    """The entries of a bundle that are those of the tree, with their indexes; what is wrong goes into the report."""
    hashes = [sha256(LEAF_PREFIX + entry).digest() for entry in entries]
    first = bundle.index * TILE_WIDTH
    if b"".join(hashes) == expected:
        return entries, range(first, first + len(entries))
    wanted = [expected[at : at + HASH_LENGTH_BYTES] for at in range(0, len(expected), HASH_LENGTH_BYTES)]
    report.add(_name_difference(hashes, wanted, bundle))
    known = {leaf: first + at for at, leaf in enumerate(wanted)}
    kept = [(entry, known[found]) for entry, found in zip(entries, hashes, strict=True) if found in known]
    return [entry for entry, _ in kept], [at for _, at in kept]


def _name_difference(hashes: list[bytes], wanted: list[bytes], bundle: Tile) -> Finding:
    """How the entries that are there differ from those that the tree has."""
    begin = bundle.index * TILE_WIDTH
    places = [at for at, (found, leaf) in enumerate(zip(hashes, wanted, strict=False)) if found != leaf]
    first = begin + (places[0] if places else min(len(hashes), len(wanted)))
    surplus, missing = Counter(hashes) - Counter(wanted), Counter(wanted) - Counter(hashes)
    if not surplus and not missing:
        kind = FindingKind.ENTRIES_REORDERED
    elif not surplus:
        kind = FindingKind.ENTRY_DELETED
    elif not missing:
        kind = FindingKind.ENTRY_INSERTED
    else:
        kind = FindingKind.ENTRY_CHANGED
    last = begin + places[-1] if places and len(hashes) == len(wanted) else None
    count = max(surplus.total(), missing.total(), len(places) if not surplus else 0)
    return Finding(kind, bundle.path, first, last, f"{count} of its entries are not what the log has signed")


def _take_numbers(entries: Sequence[bytes], index: int, report: Report) -> None:
    numberings = report.numberings
    for entry in entries:
        try:
            producer, number, _ = read_event_header(entry)
        except MalformedEventError as error:
            report.add(Finding(FindingKind.NOT_AN_EVENT, "entry", index, None, str(error)))
        else:
            numbering = numberings.get(producer)
            if numbering is None:
                numbering = numberings[producer] = Numbering(gaps_at_most=GAPS_REPORTED)
            if number == numbering.last + 1:
                numbering.last = number
            elif numbering.add(number) is Placement.REPEATED:
                explanation = f"entry {index} has a number that was there before"
                report.add(Finding(FindingKind.SEQUENCE_REPEATED, producer, number, None, explanation))
        index += 1


def _verify_numbers(report: Report, expected_numbers: Mapping[str, int]) -> None:
    for producer, numbering in sorted(report.numberings.items()):
        for gap in numbering.gaps:
            report.add(Finding(FindingKind.SEQUENCE_GAP, producer, gap.first, gap.last, "these events are missing"))
        report.findings_left_out += numbering.forgotten
    for producer, expected in sorted(expected_numbers.items()):
        last = report.numberings.get(producer, Numbering()).last
        if last < expected:
            explanation = "the producer has sent these events, and the log does not have them"
            report.add(Finding(FindingKind.EVENTS_WITHHELD, producer, last + 1, expected, explanation))
