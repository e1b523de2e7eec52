"""A reader of the log finds, proves, follows and copies what the log's keys have signed, and nothing else."""

import shutil
from pathlib import Path

import pytest

from pqtransfer.audit.checking import CheckedLog
from pqtransfer.audit.errors import (
    DamagedTileError,
    InvalidProofError,
    MalformedProofError,
    TileMissingError,
    UntrustedCheckpointError,
)
from pqtransfer.audit.events import AuditEvent, EventKind, Target
from pqtransfer.audit.findings import FindingKind
from pqtransfer.audit.log_files import EntryNotFoundError
from pqtransfer.audit.positions import Numbering
from pqtransfer.audit.proofs import PROOF_LIMIT_BYTES
from pqtransfer.audit.selection import EventFilter
from pqtransfer.audit.tiles import split_bundle
from pqtransfer.audit.trusted_log import TrustedLog
from pqtransfer.errors import PqtransferError
from pqtransfer.sdk.audit_directory import DirectoryLog, LogDirectoryMissingError
from pqtransfer.sdk.audit_log import (
    AuditLog,
    LogNotContinuedError,
    LogNotShownError,
    check_proof,
    load_audit_keys,
    load_proof,
    load_trusted,
    save_trusted,
)
from pqtransfer.sdk.small_files import OversizeFileError
from tests.unit.audit.keys import ORIGIN, POLICY, make_signer
from tests.unit.audit.log_directories import make_events, write_log
from tests.unit.audit.samples import make_event

SIZE = 600
EVENTS = make_events(SIZE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_log(tmp_path, EVENTS)


@pytest.fixture
def log(directory: Path) -> AuditLog:
    return open_log(directory)


def open_log(directory: Path) -> AuditLog:
    return AuditLog(DirectoryLog.open(directory), load_audit_keys(directory.parent / "audit-keys.json"))


def kinds(checked: CheckedLog) -> list[FindingKind]:
    return [finding.kind for finding in checked.report.findings]


@pytest.mark.requirement("D4.6")
def test_a_log_on_disk_is_verified_from_files_and_keys_alone(log: AuditLog) -> None:
    """Intact and complete; every entry is visited in its order, and the reader is told how far it is."""
    seen, told = list[tuple[int, bytes]](), list[int]()
    checked = log.verify(visit=lambda index, entry: seen.append((index, entry)), watch=told.append)
    assert (checked.report.is_intact, checked.report.is_complete, checked.report.entries_checked) == (True, True, SIZE)
    assert seen == [(index, event.to_json()) for index, event in enumerate(EVENTS)]
    assert told == [256, 512, SIZE]


def test_a_check_goes_on_where_the_last_one_ended(tmp_path: Path, directory: Path) -> None:
    """Only new entries are read, the numbers go on, and a log that was replaced meanwhile is found."""
    (tmp_path / "old").mkdir()
    save_trusted(tmp_path / "trusted", _require(open_log(write_log(tmp_path / "old", EVENTS[:300])).verify().trusted))
    since = load_trusted(tmp_path / "trusted")
    checked = open_log(directory).verify(since=since)
    assert (checked.report.entries_checked, checked.report.is_intact, checked.report.is_complete) == (300, True, True)
    (tmp_path / "other").mkdir()
    other = [event.model_copy(update={"actor": "mallory"}) for event in EVENTS]
    assert kinds(open_log(write_log(tmp_path / "other", other)).verify(since=since)) == [FindingKind.SPLIT_VIEW]


def test_a_bare_checkpoint_is_trusted_too_and_every_entry_read(tmp_path: Path, directory: Path) -> None:
    (tmp_path / "note").write_bytes((directory / "checkpoint").read_bytes())
    checked = open_log(directory).verify(since=load_trusted(tmp_path / "note"))
    assert (checked.report.entries_checked, checked.report.is_intact) == (SIZE, True)


def test_nothing_is_trusted_of_a_log_that_is_not_intact(directory: Path) -> None:
    change_entry(directory)
    checked = open_log(directory).verify()
    assert kinds(checked) == [FindingKind.ENTRY_CHANGED, FindingKind.SEQUENCE_GAP]
    assert checked.trusted is None


def test_only_true_entries_are_visited(directory: Path) -> None:
    """What was changed is not shown to whoever makes a report of the log; the others keep their indexes."""
    change_entry(directory)
    seen = dict[int, bytes]()
    open_log(directory).verify(visit=seen.__setitem__)
    assert seen == {index: event.to_json() for index, event in enumerate(EVENTS) if index != 0}


@pytest.mark.parametrize("wanted", [0, 255, 256, SIZE - 1, EVENTS[300].event_id])
def test_an_entry_is_proven_to_someone_who_has_the_keys_alone(log: AuditLog, wanted: int | str) -> None:
    proof = log.prove(wanted).to_bytes()
    proven = check_proof(proof, POLICY)
    assert proven.index == (300 if isinstance(wanted, str) else wanted)
    assert proven.event == EVENTS[proven.index]
    assert list(proven.signed.witness_times) == ["witness.example/w1"]


@pytest.mark.parametrize("wanted", [SIZE, "0198c0de-0000-7000-8000-ffffffffffff", "", "worker/a"])
def test_an_entry_that_is_not_there_is_not_proven(log: AuditLog, wanted: int | str) -> None:
    with pytest.raises(EntryNotFoundError, match="audit search"):
        log.prove(wanted)


def test_a_damaged_proof_proves_nothing(log: AuditLog, tmp_path: Path) -> None:
    """Every byte of it that is changed, and a file that is too large, is refused by name."""
    proof = log.prove(17).to_bytes()
    for place in range(0, len(proof), 97):
        damaged = bytearray(proof)
        damaged[place] ^= 1
        with pytest.raises(PqtransferError):
            check_proof(bytes(damaged), POLICY)
    with pytest.raises(MalformedProofError):
        check_proof(b"", POLICY)
    with pytest.raises(InvalidProofError):
        check_proof(proof.replace(b"index 17", b"index 18"), POLICY)
    (tmp_path / "large").write_bytes(bytes(PROOF_LIMIT_BYTES + 1))
    with pytest.raises(OversizeFileError):
        load_proof(tmp_path / "large")


@pytest.mark.requirement("D4.6")
def test_a_search_finds_what_fits_in_both_directions(log: AuditLog) -> None:
    wanted = EventFilter(actor="hospital-b", kind=EventKind.KEY)
    expected = [index for index, event in enumerate(EVENTS) if wanted.matches(event)]
    assert len(expected) > 10
    assert [found.index for found in log.search(wanted)] == expected
    assert [found.index for found in log.search(wanted, newest_first=True)] == expected[::-1]


def test_a_search_does_not_pass_over_what_was_changed(directory: Path) -> None:
    """An answer of a log that is not true would be an answer of whoever changed it."""
    change_entry(directory)
    with pytest.raises(DamagedTileError, match="audit verify"):
        list(open_log(directory).search(EventFilter()))


def test_a_tail_follows_the_log_and_stops_where_it_does_not_continue(tmp_path: Path) -> None:
    """New events come once; a rolled-back log ends it with an error."""
    directory = write_log(tmp_path, EVENTS[:300])
    states = iter([310, 310, 305])

    def wait() -> bool:
        write_log(tmp_path, EVENTS[: next(states)])
        return True

    following = open_log(directory).follow(last=5, wait=wait)
    assert [next(following).index for _ in range(15)] == list(range(295, 310))
    with pytest.raises(LogNotContinuedError, match="log-rolled-back"):
        next(following)
    assert [found.index for found in open_log(directory).tail(2)] == [303, 304]


def test_a_copy_is_brought_up_to_date_and_is_the_log(tmp_path: Path) -> None:
    """The second time only what is new is copied; a copy is verified like the log itself."""
    source, copy = write_log(tmp_path, EVENTS[:300]), tmp_path / "copy"
    first = open_log(source).fetch(copy)
    assert (first.size, first.missing) == (300, [])
    write_log(tmp_path, EVENTS)
    second = open_log(source).fetch(copy)
    assert (second.size, second.files_written) == (SIZE, 5)
    assert open_log(source).fetch(copy).files_written == 0
    shutil.rmtree(source)
    assert open_log(copy).verify().report.findings == []


def test_a_copy_is_not_continued_by_another_log(tmp_path: Path, directory: Path) -> None:
    """The copy stays what it was: it is the evidence."""
    open_log(directory).fetch(tmp_path / "copy")
    before = (tmp_path / "copy" / "checkpoint").read_bytes()
    write_log(tmp_path, EVENTS[:200])
    with pytest.raises(LogNotContinuedError):
        open_log(directory).fetch(tmp_path / "copy")
    assert (tmp_path / "copy" / "checkpoint").read_bytes() == before


def test_what_is_missing_from_a_log_is_told_by_its_copy(tmp_path: Path, directory: Path) -> None:
    (directory / "tile/entries/001").unlink()
    assert open_log(directory).fetch(tmp_path / "copy").missing == ["tile/entries/001"]


def test_an_oversize_file_is_damage_and_is_not_read_whole(directory: Path) -> None:
    with (directory / "tile/0/000").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DamagedTileError, match="more than 8192 bytes"):
        DirectoryLog(directory).read_tile("tile/0/000")


def test_a_log_without_files_is_none(tmp_path: Path) -> None:
    with pytest.raises(LogDirectoryMissingError, match="audit fetch"):
        DirectoryLog.open(tmp_path / "nowhere")
    with pytest.raises(LogNotShownError):
        AuditLog(DirectoryLog(tmp_path), POLICY).read_checkpoint()
    assert kinds(AuditLog(DirectoryLog(tmp_path), POLICY).verify()) == [FindingKind.CHECKPOINT_MISSING]


@pytest.fixture
def purged(tmp_path: Path) -> Path:
    """A log whose first bundle was purged, as an event in it says."""
    before = keep_numbers(EVENTS[:256])
    purge = make_event(
        EventKind.ADMINISTRATION,
        producer="archive-audit-log/a",
        action="audit.purge",
        target=Target(type="log", id="entries"),
        details={"first_kept": "256", "numbers_sha256": before.numbers_sha256},
    )
    directory = write_log(tmp_path, [*EVENTS, purge])
    (directory / "tile/entries/000").unlink()
    (directory / "purged").write_bytes(before.to_bytes())
    return directory


@pytest.mark.requirement("D7.6")
def test_after_a_purge_the_rest_is_still_verified_and_proven(purged: Path) -> None:
    """Intact and complete, because the log itself tells of the purge; remaining proofs hold, purged ones are none."""
    log = open_log(purged)
    checked = log.verify()
    assert checked.report.findings == []
    assert (checked.first_kept, checked.report.entries_checked) == (256, SIZE - 256 + 1)
    assert check_proof(log.prove(256).to_bytes(), POLICY).event == EVENTS[256]
    assert next(log.search(EventFilter())).index == 256
    with pytest.raises(EntryNotFoundError):
        log.prove(255)
    assert log.fetch(purged.parent / "copy").missing == []


@pytest.mark.requirement("D7.5", "D7.6")
@pytest.mark.parametrize("producer", ["client/a", "transfer-worker/a", "archive-audit-log-x/a"])
def test_a_purge_that_somebody_else_tells_of_is_a_deletion(tmp_path: Path, producer: str) -> None:
    """Only the word of the service that purges counts, whoever else got an event into the log."""
    before = keep_numbers(EVENTS[:256])
    forged = make_event(
        EventKind.ADMINISTRATION,
        producer=producer,
        action="audit.purge",
        target=Target(type="log", id="entries"),
        details={"first_kept": "256", "numbers_sha256": before.numbers_sha256},
    )
    directory = write_log(tmp_path, [*EVENTS, forged])
    (directory / "tile/entries/000").unlink()
    (directory / "purged").write_bytes(before.to_bytes())
    assert kinds(open_log(directory).verify()) == [FindingKind.ENTRIES_MISSING]


@pytest.mark.requirement("D7.6")
def test_a_purge_that_the_log_does_not_tell_of_is_a_deletion(tmp_path: Path, purged: Path) -> None:
    """Somebody deletes more, and writes a file that says it was a purge; or purges nothing and hides numbers."""
    state = keep_numbers(EVENTS[:512])
    (purged / "purged").write_bytes(state.to_bytes())
    assert kinds(open_log(purged).verify()) == [FindingKind.ENTRIES_MISSING]
    forged = keep_numbers(EVENTS[:256])
    forged.numberings["worker/a"].add(129 + 9)
    (purged / "purged").write_bytes(forged.to_bytes())
    assert FindingKind.ENTRIES_MISSING in kinds(open_log(purged).verify())
    (purged / "purged").write_bytes(b"x")
    assert kinds(open_log(purged).verify())[-1] is FindingKind.FILE_UNREADABLE
    (purged / "purged").unlink()
    assert FindingKind.ENTRIES_MISSING in kinds(open_log(purged).verify())


def test_wrong_keys_believe_nothing(directory: Path) -> None:
    """Neither the log, nor a checkpoint that was kept under the right ones."""
    other = make_signer(ORIGIN, POLICY.log_keys[0].kind, "other").key
    policy = type(POLICY)(ORIGIN, log_keys=(other,))
    log = AuditLog(DirectoryLog(directory), policy)
    assert kinds(log.verify()) == [FindingKind.CHECKPOINT_UNTRUSTED]
    with pytest.raises(UntrustedCheckpointError):
        log.prove(0)
    kept = _require(open_log(directory).verify().trusted)
    with pytest.raises(UntrustedCheckpointError):
        log.verify(since=kept)


def test_a_path_that_is_none_never_reaches_the_disk(directory: Path) -> None:
    for path in ("tile/../checkpoint", "/etc/passwd", "tile/0/000.p/256"):
        with pytest.raises(ValueError, match="tile"):
            DirectoryLog(directory).read_tile(path)
    with pytest.raises(TileMissingError):
        DirectoryLog(directory).read_tile("tile/0/999")


def change_entry(directory: Path) -> None:
    """Somebody changes who did the first thing in the log."""
    path = directory / "tile/entries/000"
    entries = list(split_bundle(path.read_bytes(), path="", width=256))
    path.write_bytes(path.read_bytes().replace(entries[0], entries[0].replace(b"hospital-a", b"hospital-z")))


def keep_numbers(events: list[AuditEvent]) -> TrustedLog:
    """What is kept of events that are purged."""
    numberings = dict[str, Numbering]()
    for event in events:
        numberings.setdefault(event.producer, Numbering(gaps_at_most=1000)).add(event.sequence)
    return TrustedLog(b"", len(events), numberings)


def _require(trusted: TrustedLog | None) -> TrustedLog:
    assert trusted is not None
    return trusted
