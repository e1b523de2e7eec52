"""One check of a log by its reader: the verifier, what was trusted before, and what a purge accounts for.

A purge is believed when the log itself tells of it: an event `audit.purge` of the function that purges says up to
which entry, and carries the digest of the producers' numbers there. The file `purged` has these numbers; it is believed
by this digest alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pqtransfer.audit.checkpoints import TrustPolicy, open_checkpoint
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
_PURGE_MARK = b'"event_code":"audit.purge"'


@dataclass(frozen=True)
class CheckedLog:
    """The outcome. `note` is the checkpoint as it was shown; `first_kept`: entries before it were purged."""

    report: Report
    note: bytes | None
    first_kept: int = 0

    @property
    def trusted(self) -> TrustedLog | None:
        """What the next check may go on from; None when this one has found the log not intact."""
        if self.note is None or self.report.checkpoint is None or not self.report.is_intact:
            return None
        return TrustedLog(self.note, self.report.checkpoint.size, self.report.numberings)


def check_log(
    files: LogFiles,
    policy: TrustPolicy,
    *,
    since: TrustedLog | None = None,
    visit: VisitEntry | None = None,
    watch: Callable[[int], None] | None = None,
) -> CheckedLog:
    """Verify a log. What is wrong with it is in the report.

    Args:
        since: what an earlier check ended with; only what came after is read.
        watch: is told how many entries have been read.

    Raises:
        UntrustedCheckpointError, MalformedNoteError, MalformedCheckpointError: `since` is not of this log.
    """
    trusted = open_checkpoint(since.checkpoint_note, policy).checkpoint if since else None
    published = files.find_checkpoint()
    unreadable = None
    try:
        start = read_purged(files)
    except IntegrityError as error:
        start, unreadable = None, Finding(FindingKind.FILE_UNREADABLE, PURGED_PATH, explanation=str(error))
    if since is not None and since.next_index:
        start = since
    purged = start if start is not since else None
    first = start.next_index if start else 0
    accounted: list[str] = []

    def visit_each(index: int, entry: bytes) -> None:
        if purged is not None and _PURGE_MARK in entry:
            accounted.extend(read_purge(entry, purged.next_index))
        if visit is not None:
            visit(index, entry)

    note = published.data if published else None
    report = verify_log(
        note,
        policy,
        _watch_reading(files, watch),
        trusted=trusted,
        first_index=first,
        numberings=start.numberings if start else None,
        visit=visit_each,
    )
    if unreadable is not None:
        report.add(unreadable)
    if purged is not None and report.checkpoint and purged.numbers_sha256 not in accounted:
        explanation = "the log has no audit.purge event that accounts for these entries and their numbers"
        last = purged.next_index - 1
        report.add(Finding(FindingKind.ENTRIES_MISSING, PURGED_PATH, 0, last, explanation))
    return CheckedLog(report, note, purged.next_index if purged else 0)


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


def read_purge(entry: bytes, first_kept: int) -> list[str]:
    """The digest in a purge event about this entry; nothing when it is about another, or no such event.

    Only the word of the service that purges counts: the sequencer lets nobody but the system use its name.
    """
    try:
        event = AuditEvent.from_json(entry)
    except MalformedEventError:
        return []
    if event.action != PURGE_ACTION or name_service(event.producer) != KEEPER_SERVICE:
        return []
    if not event.succeeded or event.details.get(FIRST_KEPT) != str(first_kept):
        return []
    return [event.details.get(NUMBERS_SHA256, "")]
