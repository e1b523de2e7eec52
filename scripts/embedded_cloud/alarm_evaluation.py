"""What state an alarm of CloudWatch is in, by its numbers: the local stand-in for CloudWatch's evaluator. Pure.

The emulator has alarms and numbers, and evaluates too, but puts the numbers of all services into one alarm, and all
periods into one. This follows CloudWatch: dimensions have to be the alarm's own, M of the last N periods have to breach
and missing periods are treated as the alarm says. What is left out: anomaly bands, metric math, and that CloudWatch
looks a few periods further back when the last ones are missing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"

_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True)
class Point:
    """A number, as often as it was seen, at a time in POSIX seconds."""

    at: float
    value: float
    count: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """The state, and why."""

    state: str
    reason: str


def evaluate(alarm: Mapping[str, Any], points: Iterable[Point], *, now: float) -> Verdict:
    """The state of an alarm, as `DescribeAlarms` shows it, with the points of its own metric and dimensions.

    The period that runs counts as the last one, as soon as it has a number.
    """
    period, wanted = int(alarm["Period"]), int(alarm.get("EvaluationPeriods") or 1)
    needed = int(alarm.get("DatapointsToAlarm") or wanted)
    statistic = str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average")
    breaches, threshold = _COMPARED[str(alarm["ComparisonOperator"])], float(alarm["Threshold"])
    by_period = defaultdict[int, list[Point]](list)
    for point in points:
        by_period[int(point.at // period)].append(point)
    last = int(now // period)
    last = last if by_period.get(last) else last - 1
    values = [
        summarize(by_period[number], statistic) if by_period.get(number) else None
        for number in range(last - wanted + 1, last + 1)
    ]
    treated = [_treat(value, breaches, threshold, str(alarm.get("TreatMissingData") or "missing")) for value in values]
    shown = f"{statistic} of the last {wanted} periods: {', '.join('-' if v is None else f'{v:g}' for v in values)}"
    if sum(each is True for each in treated) >= needed:
        return Verdict(ALARM, f"Threshold Crossed: {shown}; threshold {threshold:g}")
    if all(each is None for each in treated):
        state = str(alarm.get("StateValue") or INSUFFICIENT) if alarm.get("TreatMissingData") == "ignore" else None
        return Verdict(state or INSUFFICIENT, f"Insufficient Data: {shown}")
    return Verdict(OK, f"Threshold not crossed: {shown}; threshold {threshold:g}")


def summarize(points: Sequence[Point], statistic: str) -> float:
    """One number for a period: Sum, Average, Minimum, Maximum, SampleCount, or a percentile (p99)."""
    count = sum(point.count for point in points)
    total = sum(point.value * point.count for point in points)
    if statistic.startswith("p"):
        return _percentile(points, float(statistic[1:]))
    return {
        "Sum": total,
        "Average": total / count,
        "Minimum": min(point.value for point in points),
        "Maximum": max(point.value for point in points),
        "SampleCount": count,
    }[statistic]


def _percentile(points: Sequence[Point], percent: float) -> float:
    """The smallest value that so many percent of all are not over."""
    ordered = sorted(points, key=lambda point: point.value)
    wanted, seen = sum(point.count for point in ordered) * percent / 100, 0.0
    for point in ordered:
        seen += point.count
        if seen >= wanted:
            return point.value
    return ordered[-1].value


def _treat(
    value: float | None, breaches: Callable[[float, float], bool], threshold: float, missing: str
) -> bool | None:
    if value is not None:
        return breaches(value, threshold)
    return {"breaching": True, "notBreaching": False}.get(missing)
