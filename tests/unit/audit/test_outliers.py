"""A day stands out by the statistic that the report states, and by nothing else."""

from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pqtransfer.audit.outliers import DAYS_AT_LEAST, SURPLUS_AT_LEAST, THRESHOLD, find_outliers

QUIET = dict.fromkeys(range(30), 4)


@pytest.mark.requirement("D7.4")
@pytest.mark.parametrize(
    ("counts", "days"),
    [
        (QUIET | {7: 60}, [7]),
        (QUIET | {7: 8}, []),  # more than usual, but by less than 5 events
        ({3: 40}, [3]),  # active on one day alone
        (QUIET, []),
        ({}, []),
        ({day: 10 + day % 5 for day in range(30)} | {9: 17}, []),  # within what varies anyway
        ({day: 10 + day % 5 for day in range(30)} | {9: 40}, [9]),
        (QUIET | {7: 0}, []),  # less than usual is no outlier
    ],
)
def test_what_stands_out(counts: dict[int, int], days: list[int]) -> None:
    assert [each.day for each in find_outliers({"hospital-a": counts}, days=30)] == days


def test_a_period_that_is_too_short_says_nothing() -> None:
    assert find_outliers({"hospital-a": {1: 1000}}, days=DAYS_AT_LEAST - 1) == []


def test_the_score_is_the_one_that_is_stated() -> None:
    """By hand: the median of 1 to 9 is 5, MAD is 2; (25 - 5) * 0.6745 / 2."""
    counts = dict(enumerate([1, 2, 3, 4, 6, 7, 8, 25, 5]))
    found = find_outliers({"a": counts}, days=9)
    assert [(each.events, each.median) for each in found] == [(25, 5)]
    assert found[0].score == pytest.approx(20 * 0.6745 / 2)


@given(st.dictionaries(st.integers(0, 29), st.integers(0, 200), max_size=30))
def test_every_day_is_judged_by_the_statement(counts: dict[int, int]) -> None:
    """Computed a second time, from the words of the statement."""
    values = [counts.get(day, 0) for day in range(30)]
    middle = median(values)
    mad = median(abs(value - middle) for value in values)
    scale = mad / 0.6745 if mad else 1.2533 * fmean(abs(value - middle) for value in values)
    expected = {
        day
        for day, value in counts.items()
        if scale and (value - middle) / scale > THRESHOLD and value - middle >= SURPLUS_AT_LEAST
    }
    assert {each.day for each in find_outliers({"a": counts}, days=30)} == expected
