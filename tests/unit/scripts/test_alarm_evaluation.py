"""The local stand-in for CloudWatch's evaluator of alarms."""

from typing import Any

import pytest

from scripts.embedded_cloud.alarm_evaluation import Point, Verdict, evaluate, summarize

NOW = 600_030.0
"""Half a minute into a minute."""


def judge(points: dict[float, float], **changes: Any) -> Verdict:
    """`points`: number by how many seconds ago it came."""
    alarm = {
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 10,
        "ComparisonOperator": "GreaterThanThreshold",
        "Statistic": "Maximum",
        "TreatMissingData": "missing",
        **changes,
    }
    return evaluate(alarm, [Point(NOW - ago, value) for ago, value in points.items()], now=NOW)


@pytest.mark.parametrize(
    ("points", "changes", "state"),
    [
        ({1: 11}, {}, "ALARM"),
        ({1: 10}, {}, "OK"),
        ({1: 10}, {"ComparisonOperator": "GreaterThanOrEqualToThreshold"}, "ALARM"),
        ({1: 9}, {"ComparisonOperator": "LessThanThreshold"}, "ALARM"),
        ({1: 10}, {"ComparisonOperator": "LessThanOrEqualToThreshold"}, "ALARM"),
        ({1: 5, 100: 99}, {}, "OK"),  # only the last period counts
        ({60: 11}, {}, "ALARM"),  # the one that runs has no number yet
        ({200: 11}, {}, "INSUFFICIENT_DATA"),
        ({200: 11}, {"TreatMissingData": "notBreaching"}, "OK"),
        ({200: 11}, {"TreatMissingData": "breaching"}, "ALARM"),
        ({200: 11}, {"TreatMissingData": "ignore", "StateValue": "ALARM"}, "ALARM"),
        ({1: 11, 61: 11}, {"EvaluationPeriods": 3}, "OK"),
        ({1: 11, 61: 11, 121: 11}, {"EvaluationPeriods": 3}, "ALARM"),
        ({1: 11, 61: 1, 121: 11}, {"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, "ALARM"),
        ({1: 6, 2: 6}, {"Statistic": "Sum"}, "ALARM"),
        ({1: 6, 2: 20}, {"Statistic": "Average"}, "ALARM"),
        ({1: 6, 2: 12}, {"Statistic": "Average"}, "OK"),
    ],
)
def test_states_follow_the_numbers(points: dict[float, float], changes: dict[str, Any], state: str) -> None:
    """M of the last N periods, and what is missing as the alarm says."""
    assert judge(points, **changes).state == state


@pytest.mark.parametrize(("seconds_in", "state"), [(1, "ALARM"), (29, "ALARM"), (31, "OK")])
def test_a_number_that_comes_late_counts(seconds_in: int, state: str) -> None:
    """The last of a minute, when the next minute has one already."""
    alarm = {"Period": 60, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum"}
    points = [Point(59.9, 1), Point(60.4, 0)]
    assert evaluate(alarm, points, now=60 + seconds_in).state == state


def test_the_reason_shows_the_numbers() -> None:
    """With which a person sees why."""
    assert judge({1: 11}).reason == "Threshold Crossed: 1 periods: 11; threshold 10"


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Sum", 14), ("Average", 3.5), ("Minimum", 1), ("Maximum", 10), ("SampleCount", 4), ("p50", 1), ("p99", 10)],
)
def test_statistics(statistic: str, value: float) -> None:
    """A value that was seen three times counts three times."""
    assert summarize([Point(0, 1, 2), Point(0, 10), Point(1, 2)], statistic) == value
