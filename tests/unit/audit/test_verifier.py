"""Each attack on a log is found and named, by somebody who has the files and the public keys and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest

from pqtransfer.audit.checkpoints import Checkpoint, cosign, open_checkpoint, sign_checkpoint
from pqtransfer.audit.findings import FINDINGS_AT_MOST, Finding, FindingKind, Report
from pqtransfer.audit.tiles import encode_bundle, split_bundle
from pqtransfer.audit.verifier import GAPS_REPORTED, verify_log
from tests.unit.audit.keys import LOG_SIGNERS, ORIGIN, POLICY, TIME_SECONDS, WITNESS_SIGNERS, make_signer
from tests.unit.audit.samples import make_event
from tests.unit.audit.trees import hash_tree, make_log, make_reader

SIZE = 256 * 2 + 60
OLD_SIZE = 300


@dataclass
class Log:
    """A log as a reader finds it: its files, and its checkpoint."""

    files: dict[str, bytes]
    note: bytes | None

    def verify(self, **keywords: object) -> Report:
        return verify_log(self.note, POLICY, make_reader(self.files), **keywords)  # type: ignore[arg-type]

    def rewrite(self, path: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
        """Change the entries of one bundle."""
        width = int(path.rpartition(".p/")[2]) if ".p/" in path else 256
        self.files[path] = encode_bundle(change(list(split_bundle(self.files[path], path=path, width=width))))


def make_entries(size: int, *, actor: str = "hospital-a") -> list[bytes]:
    producers = ("worker/a", "worker/b")
    return [
        make_event(sequence=number // 2 + 1, producer=producers[number % 2], actor=actor).to_json()
        for number in range(size)
    ]


@cache
def sign(size: int, root: bytes) -> bytes:
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG_SIGNERS, time_seconds=TIME_SECONDS)
    return cosign(note, WITNESS_SIGNERS, time_seconds=TIME_SECONDS).to_bytes()


def publish(entries: list[bytes]) -> Log:
    return Log(make_log(entries), sign(len(entries), hash_tree(entries)))


ENTRIES = make_entries(SIZE)
OLD = publish(ENTRIES[:OLD_SIZE])
TRUSTED = Checkpoint(ORIGIN, OLD_SIZE, hash_tree(ENTRIES[:OLD_SIZE]))


@pytest.fixture
def log() -> Log:
    return publish(ENTRIES)


def kinds(report: Report) -> list[str]:
    return [str(finding.kind) for finding in report.findings]


@pytest.mark.requirement("D7.5", "N6")
def test_a_good_log_is_intact_and_complete(log: Log) -> None:
    """With what was trusted before; the report says what was checked, who witnessed it, how far the numbers go."""
    report = log.verify(trusted=TRUSTED, expected_numbers={"worker/a": SIZE // 2})
    assert report.findings == []
    assert (report.is_intact, report.is_complete, report.entries_checked) == (True, True, SIZE)
    assert report.checkpoint == Checkpoint(ORIGIN, SIZE, hash_tree(ENTRIES))
    assert report.witness_times == {"witness.example/w1": TIME_SECONDS}
    assert {name: numbering.last for name, numbering in report.numberings.items()} == {
        "worker/a": SIZE // 2,
        "worker/b": SIZE // 2,
    }


def test_an_empty_log_is_intact() -> None:
    """Signed, and without entries."""
    report = publish([]).verify()
    assert (report.findings, report.entries_checked) == ([], 0)


def change_first(entries: list[bytes]) -> list[bytes]:
    return [make_event(actor="somebody-else").to_json(), *entries[1:]]


def swap(entries: list[bytes]) -> list[bytes]:
    return [*entries[:5], entries[6], entries[5], *entries[7:]]


def truncate(log: Log) -> None:
    for path in [path for path in log.files if path.startswith(("tile/entries/002", "tile/0/002"))]:
        del log.files[path]


def damage(path: str, at: int = 3) -> Callable[[Log], None]:
    def change(log: Log) -> None:
        data = bytearray(log.files[path])
        data[at] ^= 1
        log.files[path] = bytes(data)

    return change


def delete(*paths: str) -> Callable[[Log], None]:
    return lambda log: [log.files.pop(path) for path in paths] and None


def rewrite(path: str, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Log], None]:
    return lambda log: log.rewrite(path, change)


def roll_back(log: Log) -> None:
    log.files, log.note = OLD.files | log.files, OLD.note


def roll_back_and_truncate(log: Log) -> None:
    log.files, log.note = dict(OLD.files), OLD.note


def show_another_history(log: Log) -> None:
    other = publish(make_entries(SIZE, actor="mallory"))
    log.files, log.note = other.files, other.note


def show_another_history_of_this_size(log: Log) -> None:
    other = publish(make_entries(OLD_SIZE, actor="mallory"))
    log.files, log.note = other.files, other.note


def show_a_shorter_other_history(log: Log) -> None:
    other = publish(make_entries(OLD_SIZE - 10, actor="mallory"))
    log.note, log.files = other.note, log.files | other.files


def replace_without_the_keys(log: Log) -> None:
    strangers = [make_signer(ORIGIN, signer.key.kind, seed="stranger") for signer in LOG_SIGNERS]
    entries = make_entries(SIZE, actor="mallory")
    note = sign_checkpoint(Checkpoint(ORIGIN, SIZE, hash_tree(entries)), strangers, time_seconds=TIME_SECONDS)
    log.files, log.note = make_log(entries), note.to_bytes()


def replace_files_only(log: Log) -> None:
    log.files = make_log(make_entries(SIZE, actor="mallory"))


def remove_the_checkpoint(log: Log) -> None:
    log.note = None


def damage_the_end(log: Log) -> None:
    damage(LAST_TILE)(log)
    log.rewrite(LAST, lambda entries: entries[:-1])


def swap_tiles(log: Log) -> None:
    log.files["tile/0/000"], log.files["tile/0/001"] = log.files["tile/0/001"], log.files["tile/0/000"]


LAST, LAST_TILE = "tile/entries/002.p/60", "tile/0/002.p/60"
ATTACKS: list[tuple[Callable[[Log], object], list[str], int | None]] = [
    (rewrite("tile/entries/001", change_first), ["entry-changed"], 256),
    (damage("tile/entries/000", at=700), ["entry-changed"], 0),
    (damage("tile/entries/000", at=0), ["bundle-damaged"], 0),
    (rewrite("tile/entries/001", lambda entries: entries[:9] + entries[10:]), ["entry-deleted"], 256 + 9),
    (rewrite(LAST, lambda entries: entries[:-1]), ["entry-deleted"], SIZE - 1),
    (rewrite("tile/entries/000", lambda entries: [*entries[:7], b"{}", *entries[7:]]), ["entry-inserted"], 7),
    (rewrite(LAST, lambda entries: [*entries, b"{}"]), ["entry-inserted"], SIZE),
    (rewrite("tile/entries/000", swap), ["entries-reordered"], 5),
    (delete("tile/entries/001"), ["entries-missing"], 256),
    (delete(LAST), ["log-truncated"], 512),
    (truncate, ["log-truncated"], None),
    (damage("tile/0/001"), ["tile-changed"], None),
    (damage(LAST_TILE), ["tile-changed"], None),
    (damage("tile/1/000.p/2"), ["tile-changed"], None),
    (delete(LAST_TILE), ["tile-missing"], None),
    (delete("tile/0/000"), ["tile-missing"], None),
    (swap_tiles, ["tile-changed", "tile-changed"], None),
    (roll_back, ["log-rolled-back"], OLD_SIZE),
    (roll_back_and_truncate, ["log-rolled-back"], OLD_SIZE),
    (show_another_history, ["split-view"], None),
    (show_another_history_of_this_size, ["log-rolled-back"], None),
    (show_a_shorter_other_history, ["log-rolled-back", "split-view"], None),
    (replace_without_the_keys, ["checkpoint-untrusted"], None),
    (replace_files_only, ["tree-replaced"], None),
    (damage_the_end, ["tree-replaced"], None),
    (remove_the_checkpoint, ["checkpoint-missing"], None),
]


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize(
    ("attack", "expected", "first"), ATTACKS, ids=[f"{number}-{row[1][0]}" for number, row in enumerate(ATTACKS)]
)
def test_an_attack_is_found_and_named(
    log: Log, attack: Callable[[Log], object], expected: list[str], first: int | None
) -> None:
    """By what it did; with the first entry that is concerned where that is known; and the log is called not intact."""
    newest = Checkpoint(ORIGIN, SIZE, hash_tree(ENTRIES))
    attack(log)
    report = log.verify(trusted=newest)
    named = [kind for kind in kinds(report) if not kind.startswith(("sequence", "not-an"))]
    assert sorted(set(named)) == sorted(set(expected))
    assert not report.is_intact
    if first is not None:
        assert report.findings[0].first == first
    assert all(str(finding).startswith(finding.kind) for finding in report.findings)


@pytest.mark.requirement("D7.5")
def test_two_readers_that_compare_find_a_split_view() -> None:
    """Each log is in itself in order, and signed; only the comparison shows it."""
    other = publish(make_entries(SIZE, actor="mallory"))
    assert other.verify().is_intact
    report = other.verify(trusted=TRUSTED)
    assert kinds(report) == ["split-view"]
    assert "two histories, of 300 and of 572" in report.findings[0].explanation


@pytest.mark.requirement("D7.5")
def test_what_a_producer_sent_and_the_log_dropped_is_found() -> None:
    """A hole in the numbers; their end, where it is known how many were sent; a producer that is not there."""
    entries = [*make_entries(20)[:6], *make_entries(20)[8:]]
    report = publish(entries).verify(expected_numbers={"worker/a": 12, "worker/c": 3})
    assert [(str(finding.kind), finding.place, finding.first, finding.last) for finding in report.findings] == [
        ("sequence-gap", "worker/a", 4, 4),
        ("sequence-gap", "worker/b", 4, 4),
        ("events-withheld", "worker/a", 11, 12),
        ("events-withheld", "worker/c", 1, 3),
    ]
    assert (report.is_intact, report.is_complete) == (True, False)


def test_a_producer_of_which_every_second_event_is_missing_is_reported_in_bounds() -> None:
    """So many gaps one by one, and how many there are besides."""
    entries = [make_event(sequence=number).to_json() for number in range(2, 2 * GAPS_REPORTED + 11, 2)]
    report = publish(entries).verify()
    assert (len(report.findings), report.findings_left_out) == (GAPS_REPORTED, 5)
    assert not report.is_complete


def test_an_event_that_is_there_twice_is_found() -> None:
    """The sequencer lets none through: whoever put it there signed it."""
    entries = make_entries(20)
    report = publish([*entries, entries[7], b"no event"]).verify()
    assert [(str(finding.kind), finding.first) for finding in report.findings] == [
        ("sequence-repeated", 4),
        ("not-an-event", 21),
    ]


@pytest.mark.requirement("D7.5")
@pytest.mark.parametrize("old_size", [0, 1, 256, 300, 512, SIZE])
def test_an_incremental_check_goes_on_where_the_last_one_ended(log: Log, old_size: int) -> None:
    """It reads only what is new, knows the numbers of before, and finds the same as a full one."""
    before = publish(ENTRIES[:old_size]).verify()
    report = log.verify(trusted=before.checkpoint, first_index=old_size, numberings=before.numberings)
    assert (report.findings, report.entries_checked) == ([], SIZE - old_size)
    full = log.verify()
    assert {name: each.last for name, each in report.numberings.items()} == {
        name: each.last for name, each in full.numberings.items()
    }


@pytest.mark.requirement("D7.6")
def test_after_a_purge_the_rest_still_verifies(log: Log) -> None:
    """Bundles and tiles before the first entry that was kept are gone; their roots stay in the tile above."""
    for path in ("tile/entries/000", "tile/0/000"):
        del log.files[path]
    numberings = publish(ENTRIES[:256]).verify().numberings
    report = log.verify(first_index=256, numberings=numberings)
    assert (report.findings, report.entries_checked) == ([], SIZE - 256)


def test_partial_tiles_may_make_way_for_full_ones() -> None:
    """An earlier checkpoint is still verified when only the full tiles are left, as the specification allows."""
    files = OLD.files | make_log(ENTRIES)
    for path in ("tile/0/001.p/44", "tile/entries/001.p/44"):
        del files[path]
    report = Log(files, OLD.note).verify()
    assert (report.findings, report.entries_checked) == ([], OLD_SIZE)


def test_a_report_of_a_log_in_ruins_stays_small() -> None:
    """So many findings, and a count of the others."""
    report = Report()
    for number in range(FINDINGS_AT_MOST + 5):
        report.add(Finding(FindingKind.SEQUENCE_GAP, "p", number))
    assert (len(report.findings), report.findings_left_out) == (FINDINGS_AT_MOST, 5)
    assert (report.is_intact, report.is_complete) == (False, False)


def test_a_checkpoint_of_another_log_continues_nothing(log: Log) -> None:
    """The caller's `trusted` belongs to another origin."""
    report = log.verify(trusted=replace(TRUSTED, origin="another.example/log"))
    assert kinds(report) == ["tree-replaced"]


def test_what_was_verified_is_what_was_signed(log: Log) -> None:
    """The report's checkpoint can be trusted next time."""
    assert log.note is not None
    assert log.verify().checkpoint == open_checkpoint(log.note, POLICY).checkpoint
