"""One check of a log by its reader: the verifier, what was trusted before, and what a purge accounts for.

A purge is believed when the log itself tells of it: an event `audit.purge` of the function that purges says up to
which entry, and carries the digest of the producers' numbers there. The file `purged` has these numbers; it is believed
by this digest alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pqtransfer.audit.checkpoints import TrustPolicy, open_checkpoint
from pqtransfer.audit.cursors import PURGES_AT_MOST, CheckCursor
from pqtransfer.audit.errors import MalformedEventError
from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.findings import Finding, FindingKind, Report
from pqtransfer.audit.log_files import LogFiles
from pqtransfer.audit.origins import KEEPER_SERVICE, name_service
from pqtransfer.audit.tiles import TILE_WIDTH, ReadTile
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.audit.verifier import VisitEntry, verify_log
from pqtransfer.errors import IntegrityError

PURGED_PATH = "purged"
PURGE_ACTION = "audit.purge"
FIRST_KEPT, NUMBERS_SHA256 = "first_kept", "numbers_sha256"
PURGE_MARK = b'"event_code":"audit.purge"'


@dataclass(frozen=True)
class CheckedLog:
    """The outcome. `note` is the checkpoint as it was shown; `first_kept`: entries before it were purged.

    `cursor`: from where on a check that was not finished goes on.
    """

    report: Report
    note: bytes | None
    first_kept: int = 0
    cursor: CheckCursor | None = None

    @property
    def trusted(self) -> TrustedLog | None:
        """What the next check may go on from; None when this one has found the log not intact."""
        if self.note is None or self.report.checkpoint is None or not self.report.is_intact:
            return None
        return TrustedLog(self.note, self.report.next_index, self.report.numberings)


def check_log(
    files: LogFiles,
    policy: TrustPolicy,
    *,
    since: TrustedLog | None = None,
    cursor: CheckCursor | None = None,
    visit: VisitEntry | None = None,
    watch: Callable[[int], None] | None = None,
    may_go_on: Callable[[], bool] | None = None,
) -> CheckedLog:
    """Verify a log. What is wrong with it is in the report.

    A check may be done in parts: what they find together, and what is visited, is what one check finds. Each part
    proves that the log continues what the one before was shown; so the log may grow, and be purged, between them.

    Args:
        since: what an earlier check ended with; only what came after is read.
        cursor: where the part before this one has come to.
        watch: is told how many entries have been read.
        may_go_on: is asked before each bundle but the first; when it says no, this part ends, with a cursor.

    Raises:
        UntrustedCheckpointError, MalformedNoteError, MalformedCheckpointError: `since` or `cursor` is not of this log.
    """
    known = [each for each in (since, cursor.verified if cursor else None) if each is not None]
    trusted = [open_checkpoint(each.checkpoint_note, policy).checkpoint for each in known]
    published = files.find_checkpoint()
    purged, unreadable = _read_start(files)
    is_incremental = cursor is None and since is not None and since.next_index > 0
    begin = since if is_incremental else cursor.verified if cursor else None
    if not is_incremental and purged and purged.next_index > (begin.next_index if begin else 0):
        begin = purged
    purges = list(cursor.purges) if cursor else []

    def visit_each(index: int, entry: bytes) -> None:
        if not is_incremental and PURGE_MARK in entry:
            purges.extend(find_purge(entry))
        if visit is not None:
            visit(index, entry)

    note = published.data if published else None
    report = verify_log(
        note,
        policy,
        _watch_reading(files, watch),
        trusted=trusted,
        first_index=begin.next_index if begin else 0,
        numberings=begin.numberings if begin else None,
        visit=visit_each,
        earlier=cursor.report if cursor else None,
        may_go_on=may_go_on,
    )
    first_kept = purged.next_index if purged and not is_incremental else cursor.first_kept if cursor else 0
    if not report.is_finished:
        anchor = note if report.is_continuation or not known else known[-1].checkpoint_note
        verified = TrustedLog(anchor or b"", report.next_index, report.numberings)
        goes_on = CheckCursor(verified, report, first_kept, tuple(purges[-PURGES_AT_MOST:]))
        return CheckedLog(report, note, first_kept, goes_on)
    if unreadable is not None:
        report.add(unreadable)
    if purged and not is_incremental and report.checkpoint and not _is_accounted(purged, purges):
        explanation = "the log has no audit.purge event that accounts for these entries and their numbers"
        last = purged.next_index - 1
        report.add(Finding(FindingKind.ENTRIES_MISSING, PURGED_PATH, 0, last, explanation))
    return CheckedLog(report, note, first_kept)


def _read_start(files: LogFiles) -> tuple[TrustedLog | None, Finding | None]:
    """What stands at `purged`, or what is wrong with it."""
    try:
        return read_purged(files), None
    except IntegrityError as error:
        return None, Finding(FindingKind.FILE_UNREADABLE, PURGED_PATH, explanation=str(error))


def _is_accounted(purged: TrustedLog, purges: Sequence[tuple[str, str]]) -> bool:
    return (str(purged.next_index), purged.numbers_sha256) in purges


def read_purged(files: LogFiles) -> TrustedLog | None:
    """What stands at `purged`: where the entries that were kept begin. The log must tell of it to make it believed.

    Raises:
        MalformedTrustedLogError: it cannot be read.
    """
    data = files.find_purged()
    return None if data is None else TrustedLog.from_bytes(data)


def _watch_reading(files: LogFiles, watch: Callable[[int], None] | None) -> ReadTile:
    if watch is None:
        return files.read_tile
    done = 0

    def read(path: str) -> bytes:
        nonlocal done
        data = files.read_tile(path)
        if path.startswith("tile/entries/"):
            done += int(path.rpartition(".p/")[2]) if ".p/" in path else TILE_WIDTH
            watch(done)
        return data

    return read


def find_purge(entry: bytes) -> list[tuple[str, str]]:
    """The first entry that was kept, and the digest of the numbers up to there, of a purge event; else nothing.

    Only the word of the service that purges counts: the sequencer lets nobody but the system use its name.
    """
    try:
        event = AuditEvent.from_json(entry)
    except MalformedEventError:
        return []
    if event.action != PURGE_ACTION or name_service(event.producer) != KEEPER_SERVICE or not event.succeeded:
        return []
    return [(event.details.get(FIRST_KEPT, ""), event.details.get(NUMBERS_SHA256, ""))]


def read_purge(entry: bytes, first_kept: int) -> list[str]:
    """The digest in a purge event about this entry; nothing when it is about another, or no such event."""
    return [digest for kept, digest in find_purge(entry) if kept == str(first_kept)]
