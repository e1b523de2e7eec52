"""Read an audit log and check it, from a deployment or from a copy on disk.

    from pathlib import Path
    from pqtransfer.sdk.audit_log import AuditLog, load_audit_keys
    from pqtransfer.sdk.audit_directory import DirectoryLog

    log = AuditLog(DirectoryLog.open(Path("log")), load_audit_keys(Path("audit-keys.json")))
    checked = log.verify()
    assert checked.report.is_intact
    proof = log.prove(17)

Nothing that is read is believed before it leads to a checkpoint that the log's keys and its witnesses have signed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pqtransfer.audit.checking import CheckedLog, check_log, read_purged
from pqtransfer.audit.checkpoints import SignedCheckpoint, TrustPolicy, open_checkpoint
from pqtransfer.audit.errors import TileMissingError
from pqtransfer.audit.events import AuditEvent
from pqtransfer.audit.histories import compare_histories
from pqtransfer.audit.log_files import LogFiles, find_entry, read_event, read_log, read_log_backwards
from pqtransfer.audit.proofs import PROOF_LIMIT_BYTES, EntryProof, prove_entry
from pqtransfer.audit.published_keys import KEYS_FILE_LIMIT_BYTES, PublishedKeys
from pqtransfer.audit.report_model import ComplianceReport, Framework
from pqtransfer.audit.reporting import make_report
from pqtransfer.audit.selection import EventFilter
from pqtransfer.audit.tiled_tree import TiledTree
from pqtransfer.audit.tiles import BUNDLES, TILE_WIDTH, list_tiles
from pqtransfer.audit.trusted_log import TRUSTED_LIMIT_BYTES, TrustedLog, looks_like_note
from pqtransfer.audit.verifier import VisitEntry
from pqtransfer.errors import IntegrityError
from pqtransfer.sdk.audit_directory import DirectoryLog
from pqtransfer.sdk.small_files import read_small_file, replace_file


class LogNotShownError(IntegrityError):
    """The log shows no checkpoint."""

    def __init__(self) -> None:
        super().__init__("the audit log shows no checkpoint: it is new and empty, or somebody removed it")


class LogNotContinuedError(IntegrityError):
    """What the log shows does not continue what it has shown before."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(
            f"the audit log does not continue what it has shown before ({'; '.join(findings)}); keep both as evidence"
        )


@dataclass(frozen=True)
class LoggedEvent:
    """An event of the log, its index there, and the entry as the log has it."""

    index: int
    event: AuditEvent
    entry: bytes


@dataclass(frozen=True)
class ProvenEntry:
    """What a proof has shown: the event, its index, and the checkpoint that commits to it."""

    index: int
    event: AuditEvent
    signed: SignedCheckpoint


class AuditLog:
    """One audit log, read under the keys of `policy`."""

    def __init__(self, files: LogFiles, policy: TrustPolicy) -> None:
        self._files = files
        self._policy = policy

    def verify(
        self,
        *,
        since: TrustedLog | None = None,
        visit: VisitEntry | None = None,
        watch: Callable[[int], None] | None = None,
    ) -> CheckedLog:
        """Check integrity and completeness; whatever is wrong is in the report. See `check_log`."""
        return check_log(self._files, self._policy, since=since, visit=visit, watch=watch)

    def read_checkpoint(self) -> SignedCheckpoint:
        """The checkpoint that the log shows.

        Raises:
            LogNotShownError: there is none.
            UntrustedCheckpointError, MalformedNoteError, MalformedCheckpointError: the keys did not sign it.
        """
        published = self._files.find_checkpoint()
        if published is None:
            raise LogNotShownError
        return open_checkpoint(published.data, self._policy)

    def prove(self, wanted: int | str) -> EntryProof:
        """The proof of an entry, by its index or its event's id. It was checked with these keys.

        Raises:
            EntryNotFoundError: there is no such entry.
            IntegrityError: the log cannot prove it.
        """
        tree, note = self._open()
        index, entry = find_entry(tree, self._files.read_tile, wanted, first=self._first_kept())
        proof = prove_entry(entry, index, tree=tree, checkpoint_note=note)
        proof.check(self._policy)
        return proof

    def search(
        self, wanted: EventFilter, *, newest_first: bool = False, watch: Callable[[int], None] | None = None
    ) -> Iterator[LoggedEvent]:
        """The events that fit, in the log's order or from its end; each was checked against the checkpoint.

        Raises:
            IntegrityError: an entry on the way is not what the log has signed.
        """
        tree, _ = self._open()
        read = read_log_backwards if newest_first else read_log
        for done, (index, entry) in enumerate(read(tree, self._files.read_tile, first=self._first_kept())):
            if watch is not None and done % 256 == 0:
                watch(done)
            if wanted.may_match(entry) and wanted.matches(event := read_event(index, entry)):
                yield LoggedEvent(index, event, entry)

    def tail(self, count: int) -> Iterator[LoggedEvent]:
        """The last `count` events, oldest first."""
        tree, _ = self._open()
        first = max(tree.checkpoint.size - count, self._first_kept())
        for index, entry in read_log(tree, self._files.read_tile, first=first):
            yield LoggedEvent(index, read_event(index, entry), entry)

    def follow(self, *, last: int, wait: Callable[[], bool]) -> Iterator[LoggedEvent]:
        """The last events, then each new one. `wait` is called when there is none, and ends it by returning False.

        Raises:
            LogNotContinuedError: the log was rolled back, or shows another history than before.
            IntegrityError: an entry is not what the log has signed.
        """
        tree, _ = self._open()
        shown, next_index = tree.checkpoint, max(tree.checkpoint.size - last, self._first_kept())
        while True:
            for index, entry in read_log(tree, self._files.read_tile, first=next_index):
                yield LoggedEvent(index, read_event(index, entry), entry)
            next_index = shown.size
            if not wait():
                return
            tree, _ = self._open()
            findings = compare_histories(shown, tree.checkpoint, self._files.read_tile)
            if findings:
                raise LogNotContinuedError([str(finding) for finding in findings])
            shown = tree.checkpoint

    def report(
        self,
        *,
        framework: Framework,
        since: datetime,
        until: datetime,
        now: datetime,
        watch: Callable[[int], None] | None = None,
    ) -> ComplianceReport:
        """Verify the log, and report the events from `since` to before `until`. See `make_report`."""
        return make_report(
            self._files, self._policy, framework=framework, since=since, until=until, now=now, watch=watch
        )

    def fetch(self, directory: Path, *, watch: Callable[[int], None] | None = None) -> "FetchedLog":
        """Copy the log's files into a directory; a copy that is there is brought up to date.

        The checkpoint is written last, so that an interrupted copy goes on where it was.
        Files are copied as they are, damaged or not, so that a copy is evidence: verify it afterwards.

        Raises:
            LogNotContinuedError: the log does not continue the copy.
            IntegrityError: the log shows no checkpoint that its keys have signed.
        """
        copy = DirectoryLog(directory)
        published = self._files.find_checkpoint()
        if published is None:
            raise LogNotShownError
        checkpoint = open_checkpoint(published.data, self._policy).checkpoint
        known = copy.find_checkpoint()
        before = open_checkpoint(known.data, self._policy).checkpoint if known else None
        if before is not None:
            findings = compare_histories(before, checkpoint, self._files.read_tile)
            if findings:
                raise LogNotContinuedError([str(finding) for finding in findings])
        written, missing = 0, list[str]()
        purged = self._files.find_purged()
        if purged is not None:
            copy.write_purged(purged)
        first_kept = self._first_kept()
        for tile in list_tiles(checkpoint.size, after_size=before.size if before else 0):
            is_purged = tile.level == BUNDLES and (tile.index + 1) * TILE_WIDTH <= first_kept
            if not is_purged and not copy.has_tile(tile.path):
                try:
                    data = self._files.read_tile(tile.path)
                except TileMissingError:
                    missing.append(tile.path)
                    continue
                copy.write_tile(tile.path, data)
                written += 1
            if watch is not None:
                watch(written)
        copy.write_checkpoint(published.data)
        return FetchedLog(checkpoint.size, written, missing)

    def _open(self) -> tuple[TiledTree, bytes]:
        signed = self.read_checkpoint()
        return TiledTree(signed.checkpoint, self._files.read_tile), signed.note.to_bytes()

    def _first_kept(self) -> int:
        purged = read_purged(self._files)
        return purged.next_index if purged else 0


@dataclass(frozen=True)
class FetchedLog:
    """What a copy has: the size of the log, how many files came this time, and which were not there to be copied."""

    size: int
    files_written: int
    missing: list[str]


def check_proof(proof: bytes, policy: TrustPolicy) -> ProvenEntry:
    """Check a proof with public keys alone.

    Raises:
        MalformedProofError, InvalidProofError, UntrustedCheckpointError: it proves nothing.
        MalformedEventError: what it proves is no event.
    """
    read = EntryProof.from_bytes(proof)
    signed = read.check(policy)
    return ProvenEntry(read.index, AuditEvent.from_json(read.entry), signed)


def load_proof(path: Path) -> bytes:
    """
    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError, OversizeFileError: there is no such proof.
    """
    return read_small_file(path, limit_bytes=PROOF_LIMIT_BYTES)


def load_audit_keys(path: Path) -> TrustPolicy:
    """The keys in a file of published keys.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError, OversizeFileError: there is no such file.
        InvalidPublishedKeysError, InvalidNoteKeyError: what is wrong with it.
    """
    return PublishedKeys.from_json(read_small_file(path, limit_bytes=KEYS_FILE_LIMIT_BYTES)).to_policy()


def load_trusted(path: Path) -> TrustedLog:
    """What an earlier verification kept; or a bare checkpoint, with which every entry is read again.

    Raises:
        ObjectMissingError, NotAFileError, PathDeniedError, OversizeFileError: there is no such file.
        MalformedTrustedLogError: it is something else.
    """
    data = read_small_file(path, limit_bytes=TRUSTED_LIMIT_BYTES)
    return TrustedLog(data, 0, {}) if looks_like_note(data) else TrustedLog.from_bytes(data)


def save_trusted(path: Path, trusted: TrustedLog) -> None:
    """Keep what a verification ended with, for the next one."""
    replace_file(path, trusted.to_bytes())
