"""One run of retention: archive what is due, say what will be purged, and purge what an earlier run has said.

A purge takes two runs. The first records an event `audit.purge` with the digest of the producers' numbers up to there;
the second finds that event in the log, witnessed, checks again that everything is due and nothing is held, writes
`purged`, and only then deletes. So whoever verifies never meets a gap that the log does not account for, and there is a
day to object. Each step can be repeated; a run that was cut off anywhere is finished by the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pqtransfer.audit.checking import FIRST_KEPT, NUMBERS_SHA256, PURGE_ACTION, read_purge, read_purged
from pqtransfer.audit.checkpoints import CHECKPOINT_PATH, TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import TileMissingError, UnaccountedPurgeError
from pqtransfer.audit.events import AuditFacts, EventKind, Target, read_event_header
from pqtransfer.audit.log_files import LogFiles, read_log
from pqtransfer.audit.origins import KEEPER_SERVICE
from pqtransfer.audit.positions import Numbering
from pqtransfer.audit.retention import BundleAge, RetentionRules, judge_bundle, plan_archive, plan_purge
from pqtransfer.audit.retention_store import Announced, RetentionState, RetentionStore
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, Tile
from pqtransfer.audit.trail import AuditTrail
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.audit.verifier import GAPS_REPORTED

ARCHIVE_ACTION = "audit.archive"
ACTOR = KEEPER_SERVICE
BUNDLES_AT_ONCE = 500
"""Archived, and purged, in one run: what a function comes to in its time. The next run goes on."""


@dataclass(frozen=True)
class RetentionOutcome:
    """What a run did, or, of a dry run, would do. Numbers of entries."""

    archived: int = 0
    purged: int = 0
    first_kept: int = 0
    announced: int = 0
    announced_first_kept: int | None = None
    held_at: int | None = None


class Upkeep:
    """Retention of one log.

    Raises (when it runs):
        IntegrityError: the log is not what its keys have signed; nothing of it is archived or purged then.
        AuditUnavailableError: the event could not be recorded; nothing was purged.
        BundleLockedError: the store keeps a bundle that is due.
    """

    def __init__(
        self, files: LogFiles, policy: TrustPolicy, *, store: RetentionStore, rules: RetentionRules, trail: AuditTrail
    ) -> None:
        self._files = files
        self._policy = policy
        self._store = store
        self._rules = rules
        self._trail = trail

    def run(self, *, now: datetime, correlation_id: str, dry_run: bool = False) -> RetentionOutcome:
        """Do what is due. A dry run writes, records and deletes nothing."""
        published = self._files.find_checkpoint()
        if published is None:
            raise TileMissingError(CHECKPOINT_PATH)
        note = published.data
        tree = TiledTree(open_checkpoint(note, self._policy).checkpoint, self._files.read_tile)
        run = _Run(self, tree, note, now=now, correlation_id=correlation_id, dry_run=dry_run)
        return run.finish()


class _Run:
    """One run, with the log as it found it."""

    def __init__(
        self, upkeep: Upkeep, tree: TiledTree, note: bytes, *, now: datetime, correlation_id: str, dry_run: bool
    ) -> None:
        self._files, self._store, self._rules, self._trail = (
            upkeep._files, upkeep._store, upkeep._rules, upkeep._trail,
        )  # fmt: skip
        self._tree, self._note, self._now = tree, note, now
        self._correlation_id, self._dry_run = correlation_id, dry_run
        self._full_bundles = tree.checkpoint.size // TILE_WIDTH
        purged = read_purged(self._files)
        self._kept = purged or TrustedLog(note, 0, {})
        data = self._store.find_retention()
        self._state = RetentionState() if data is None else RetentionState.from_json(data)

    def finish(self) -> RetentionOutcome:
        self._require_accounted()
        purged = self._purge()
        archived = self._archive()
        first_kept_bundle, held_at = self._plan()
        announced = self._announce(first_kept_bundle)
        return RetentionOutcome(
            archived=archived,
            purged=purged,
            first_kept=self._kept.next_index,
            announced=announced,
            announced_first_kept=first_kept_bundle * TILE_WIDTH if announced else None,
            held_at=None if held_at is None else held_at * TILE_WIDTH,
        )

    def _require_accounted(self) -> None:
        """The log must tell of what stands at `purged`: the numbers in it become part of the next purge's event."""
        if not self._kept.next_index:
            return
        found = (self._kept.next_index, self._kept.numbers_sha256)
        told = [each for each in (self._state.purged, self._state.announced) if each]
        if not any((each.first_kept, each.numbers_sha256) == found and self._is_in_log(each) for each in told):
            raise UnaccountedPurgeError(self._kept.next_index)

    def _purge(self) -> int:
        """Purge what was announced, if the log tells of it and all of it is still due."""
        announced = self._state.announced
        if announced is None or not self._is_in_log(announced):
            return 0
        if self._kept.next_index < announced.first_kept:
            first_kept_bundle, _ = self._plan()
            kept = self._count_numbers(announced.first_kept)
            if first_kept_bundle * TILE_WIDTH < announced.first_kept or kept.numbers_sha256 != announced.numbers_sha256:
                self._write_state(announced=None)  # held meanwhile, or other rules: it is announced anew
                return 0
            if self._dry_run:
                return announced.first_kept - announced.first
            self._store.write_purged(kept.to_bytes())
            self._kept = kept
        if not self._dry_run:
            for number in range(announced.first // TILE_WIDTH, announced.first_kept // TILE_WIDTH):
                self._store.delete_bundle(Tile(BUNDLES, number).path)
        self._write_state(announced=None, purged=announced)
        return announced.first_kept - announced.first

    def _archive(self) -> int:
        first = max(self._state.archived_bundles, self._kept.next_index // TILE_WIDTH)
        due = plan_archive(self._list_ages(first), now=self._now, at_most=BUNDLES_AT_ONCE)
        if not due or self._dry_run:
            return len(due) * TILE_WIDTH
        for number in due:
            self._store.archive_bundle(Tile(BUNDLES, number).path)
        self._record(ARCHIVE_ACTION, {"first": str(due[0] * TILE_WIDTH), "last": str((due[-1] + 1) * TILE_WIDTH - 1)})
        self._write_state(archived_bundles=due[-1] + 1)
        return len(due) * TILE_WIDTH

    def _plan(self) -> tuple[int, int | None]:
        first = self._kept.next_index // TILE_WIDTH
        return plan_purge(self._list_ages(first), first=first, now=self._now, at_most=BUNDLES_AT_ONCE)

    def _announce(self, first_kept_bundle: int) -> int:
        """Record that entries will be purged; the next run purges them."""
        first_kept = first_kept_bundle * TILE_WIDTH
        count = first_kept - self._kept.next_index
        if not count or self._state.announced is not None or self._dry_run:
            return count if self._state.announced is None else 0
        announced = Announced(
            first=self._kept.next_index,
            first_kept=first_kept,
            numbers_sha256=self._count_numbers(first_kept).numbers_sha256,
            log_size=self._tree.checkpoint.size,
        )
        details = {
            "first": str(announced.first), FIRST_KEPT: str(first_kept), NUMBERS_SHA256: announced.numbers_sha256,
        }  # fmt: skip
        self._record(PURGE_ACTION, details)
        self._write_state(announced=announced)
        return count

    def _list_ages(self, first: int) -> Iterator[BundleAge]:
        """When the full bundles from `first` on are due. Each is checked against the log's root."""
        for number in range(first, self._full_bundles):
            begin = number * TILE_WIDTH
            entries = [
                entry for _, entry in read_log(self._tree, self._files.read_tile, first=begin, last=begin + TILE_WIDTH)
            ]
            stored = self._store.describe_bundle(Tile(BUNDLES, number).path)
            yield judge_bundle(number, entries, self._rules, completed_at=stored.completed_at, is_held=stored.is_held)

    def _count_numbers(self, first_kept: int) -> TrustedLog:
        """Where every producer's numbers stand before entry `first_kept`."""
        numberings = {name: each.copy() for name, each in self._kept.numberings.items()}
        for _, entry in read_log(self._tree, self._files.read_tile, first=self._kept.next_index, last=first_kept):
            producer, number, _ = read_event_header(entry)
            numberings.setdefault(producer, Numbering(gaps_at_most=GAPS_REPORTED)).add(number)
        return TrustedLog(self._note, first_kept, numberings)

    def _is_in_log(self, announced: Announced) -> bool:
        entries = read_log(self._tree, self._files.read_tile, first=announced.log_size)
        return any(announced.numbers_sha256 in read_purge(entry, announced.first_kept) for _, entry in entries)

    def _record(self, action: str, details: dict[str, str]) -> None:
        self._trail.record(
            AuditFacts(
                kind=EventKind.ADMINISTRATION,
                action=action,
                actor=ACTOR,
                target=Target(type="audit-log", id=self._tree.checkpoint.origin),
                succeeded=True,
                correlation_id=self._correlation_id,
                details=details,
            )
        )

    def _write_state(self, **changes: object) -> None:
        if self._dry_run:
            return
        self._state = self._state.model_copy(update=changes)
        self._store.write_retention(self._state.to_json())
