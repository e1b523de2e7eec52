"""A check in parts: whatever they are, they find together what one check finds, also in a log that grows meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.audit.checking import CheckedLog, check_log
from pqtransfer.audit.cursors import CheckCursor, MalformedCursorError
from pqtransfer.audit.sequencer import PublishedCheckpoint
from pqtransfer.audit.trusted_log import TrustedLog
from tests.unit.audit.kept_logs import COMPLETED_AT, KeptLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.log_directories import make_events
from tests.unit.audit.test_retention import run
from tests.unit.audit.test_verifier import ATTACKS, ENTRIES, SIZE, Log, make_entries, publish
from tests.unit.audit.trees import make_reader

NEWEST = publish(ENTRIES)
GROWING = make_entries(SIZE + 700)
del GROWING[SIZE - 100]
STATES = [publish(GROWING[:size]) for size in range(257, SIZE + 700, 150)]
parts = st.lists(st.integers(1, 3), max_size=4)
"""How many bundles each part reads; the last one reads the rest."""


class Files:
    """`LogFiles` of a log in memory."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def read_tile(self, path: str) -> bytes:
        return make_reader(self.log.files)(path)

    def find_checkpoint(self) -> PublishedCheckpoint | None:
        return None if self.log.note is None else PublishedCheckpoint(self.log.note, "")

    def find_purged(self) -> bytes | None:
        return None


def check_in_parts(
    files: Files | KeptLog,
    bundles: Sequence[int],
    *,
    since: TrustedLog | None = None,
    between: Callable[[int], object] = lambda _part: None,
    visited: list[int] | None = None,
) -> CheckedLog:
    """Each part has nothing of the one before but the bytes of its cursor."""
    cursor: CheckCursor | None = None
    for part, count in enumerate(chain(bundles, repeat(1_000_000))):
        left: Iterator[bool] = iter([*[True] * (count - 1), False])
        checked = check_log(
            files,
            POLICY,
            since=since,
            cursor=cursor,
            visit=lambda index, _entry: visited.append(index) if visited is not None else None,
            may_go_on=lambda left=left: next(left),  # type: ignore[misc]
        )
        if checked.cursor is None:
            return checked
        cursor = CheckCursor.from_bytes(checked.cursor.to_bytes())
        between(part)
    raise AssertionError


def describe(checked: CheckedLog) -> object:
    report = checked.report
    numbers = {name: (each.last, each.gaps, each.forgotten) for name, each in report.numberings.items()}
    return (
        report.findings, report.findings_left_out, report.entries_checked, report.first_index, report.checkpoint,
        numbers, checked.first_kept, report.is_finished, report.next_index,
    )  # fmt: skip


@pytest.mark.requirement("D7.5", "N6")
@pytest.mark.parametrize("number", range(-1, len(ATTACKS)))
def test_any_parts_find_what_one_check_finds(number: int) -> None:
    """Of every attack, in the same order, each once; and every true entry is visited once."""
    assert NEWEST.note is not None
    since = TrustedLog(NEWEST.note, 0, {})
    log = Log(dict(NEWEST.files), NEWEST.note)
    if number >= 0:
        ATTACKS[number][0](log)
    at_once = list[int]()
    one = check_in_parts(Files(log), [], since=since, visited=at_once)
    for bundles in ([1], [2], [1, 1], [1, 1, 1]):  # a log of three has no other parts
        in_parts = list[int]()
        several = check_in_parts(Files(log), bundles, since=since, visited=in_parts)
        assert describe(several) == describe(one), bundles
        assert in_parts == at_once, bundles


@pytest.mark.requirement("D7.5")
@settings(max_examples=40)
@given(bundles=parts, sizes=st.sets(st.integers(0, len(STATES) - 1), min_size=1, max_size=4))
def test_a_log_that_grows_meanwhile_is_checked_to_its_end(bundles: list[int], sizes: set[int]) -> None:
    """Under the checkpoint that it shows last, with a number that is missing in what came."""
    states = [STATES[size] for size in sorted(sizes)]
    files = Files(states.pop(0))

    def grow(_part: int) -> None:
        if states:
            files.log = states.pop(0)

    several = check_in_parts(files, bundles, between=grow)
    assert describe(several) == describe(check_log(files, POLICY))


@pytest.mark.requirement("D7.5", "N6")
def test_a_history_that_is_changed_between_two_parts_is_found() -> None:
    """Both are signed and witnessed: only that one does not continue the other shows it."""
    files = Files(publish(ENTRIES))

    def fork(_part: int) -> None:
        files.log = publish(make_entries(SIZE + 300, actor="mallory"))

    found = check_in_parts(files, [1], between=fork)
    assert [str(each.kind) for each in found.report.findings] == ["split-view"]
    assert found.trusted is None


@pytest.mark.requirement("D7.5", "N6")
def test_what_is_put_back_between_two_parts_is_found_all_the_same() -> None:
    """The part that saw it says so, and the number of the entry that it did not believe is missing."""
    files = Files(publish(ENTRIES))
    good = files.log.files["tile/entries/000"]
    files.log.files["tile/entries/000"] = good.replace(b"hospital-a", b"hospital-x", 1)

    def mend(_part: int) -> None:
        files.log.files["tile/entries/000"] = good

    found = check_in_parts(files, [1], between=mend)
    assert [str(each.kind) for each in found.report.findings] == ["entry-changed", "sequence-gap"]


@pytest.mark.requirement("D7.5", "D7.6")
@pytest.mark.parametrize("at", range(4))
def test_a_purge_between_two_parts_is_no_finding(at: int) -> None:
    """Whether they had come to what is purged or not: the log tells of it further on."""
    log = KeptLog(make_events(1200))
    now = COMPLETED_AT + timedelta(days=400)

    def purge(part: int) -> None:
        if part == at:
            run(log, now=now)
            log.publish()
            run(log, now=now)
            assert "tile/entries/000" in log.gone
            log.publish()

    found = check_in_parts(log, [1, 1, 1, 1], between=purge)
    assert found.report.findings == []
    assert found.trusted is not None


@pytest.mark.requirement("D7.5", "N6")
def test_a_deletion_that_passes_for_a_purge_between_two_parts_is_found() -> None:
    """The log tells of no such purge."""
    log = KeptLog(make_events(1200))

    def forge(_part: int) -> None:
        log.gone |= {f"tile/entries/00{number}" for number in range(3)}
        log.documents["purged"] = TrustedLog(b"note\n", 768, check_log(log, POLICY).report.numberings).to_bytes()
        log.publish()

    found = check_in_parts(log, [1], between=forge)
    assert "entries-missing purged 0-767" in {str(each).partition(":")[0] for each in found.report.findings}


@pytest.mark.parametrize("data", [b"", b"{}\n", b"-\n", b"x" * 100, b'{"format":"pqtransfer-audit-cursor/1"}\n'])
def test_what_is_no_cursor_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedCursorError, match="begin the check again"):
        CheckCursor.from_bytes(data)
