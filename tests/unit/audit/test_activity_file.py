"""A report that is made in parts is the report that is made at once; what was added up survives as bytes."""

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqtransfer.audit import activity as activities
from pqtransfer.audit.activity import Activity
from pqtransfer.audit.activity_file import MalformedActivityError, read_activity, write_activity
from pqtransfer.audit.cursors import CheckCursor
from pqtransfer.audit.report_model import ComplianceReport, Framework
from pqtransfer.audit.reporting import add_up, begin_activity, compose_report
from pqtransfer.sdk.audit_directory import DirectoryLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.log_directories import write_log
from tests.unit.audit.months import BEGIN, END, make_month
from tests.unit.audit.test_reporting import NOW, make

MONTH = make_month()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("parts"), MONTH)


def report_in_parts(directory: Path, bundles: list[int]) -> ComplianceReport:
    """Each part has nothing of the one before but bytes."""
    added, cursor = begin_activity(BEGIN, END), None
    for count in chain(bundles, repeat(1_000_000)):
        left: Iterator[bool] = iter([*[True] * (count - 1), False])
        checked = add_up(
            DirectoryLog(directory),
            POLICY,
            activity=added,
            cursor=cursor,
            may_go_on=lambda left=left: next(left),  # type: ignore[misc]
        )
        if checked.cursor is None:
            return compose_report(added, checked, framework=Framework.ALL, since=BEGIN, until=END, now=NOW)
        added = read_activity(write_activity(added))
        cursor = CheckCursor.from_bytes(checked.cursor.to_bytes())
    raise AssertionError


@pytest.mark.requirement("D7.4")
@settings(max_examples=15)
@given(bundles=st.lists(st.integers(1, 4), max_size=5))
def test_a_report_in_parts_is_the_report_at_once(directory: Path, bundles: list[int]) -> None:
    assert report_in_parts(directory, bundles) == make(directory)


@given(place=st.integers(0, len(MONTH)), limit=st.sampled_from([1, 3, 2000]))
@settings(max_examples=20)
def test_what_was_added_up_goes_on_as_if_it_had_stayed(place: int, limit: int) -> None:
    """Also where lists and tables are full: what is left out is counted on."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KEYS_AT_MOST", "ACTORS_AT_MOST", "ADDRESSES_AT_MOST", "ACTIONS_AT_MOST"):
            patch.setattr(activities, name, limit)
        at_once, first = (Activity(since=BEGIN, until=END) for _ in range(2))
        for index, event in enumerate(MONTH):
            at_once.add(index, event)
        for index, event in enumerate(MONTH[:place]):
            first.add(index, event)
        rest = read_activity(write_activity(first))
        for index, event in enumerate(MONTH[place:], start=place):
            rest.add(index, event)
        assert vars(rest) == vars(at_once)
        assert list(rest.actors) == list(at_once.actors)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format":"pqtransfer-audit-activity/1"}', b"[" * 10_000])
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedActivityError, match="begin the report again"):
        read_activity(data)
