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

GRACE_SECONDS = 30.0
"""Into a period: numbers of the one before may still be on their way."""

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

    The period that runs counts as the last one, as soon as it has a number; at its beginning the one before counts too,
    whose numbers may just have come.
    """
    period, wanted = int(alarm["Period"]), int(alarm.get("EvaluationPeriods") or 1)
    statistic = str(alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average")
    by_period = defaultdict[int, list[Point]](list)
    for point in points:
        by_period[int(point.at // period)].append(point)
    last = int(now // period)
    lasts = [last if by_period.get(last) else last - 1]
    if by_period.get(last) and now % period < GRACE_SECONDS:
        lasts.append(last - 1)
    verdicts = [
        _judge(alarm, [_summarize(by_period, number, statistic) for number in range(end - wanted + 1, end + 1)])
        for end in lasts
    ]
    return next((each for each in verdicts if each.state == ALARM), verdicts[0])


def _judge(alarm: Mapping[str, Any], values: Sequence[float | None]) -> Verdict:
    """The verdict on the numbers of the last periods, oldest first; None for a period without any."""
    threshold, missing = float(alarm["Threshold"]), str(alarm.get("TreatMissingData") or "missing")
    breaches = _COMPARED[str(alarm["ComparisonOperator"])]
    treated = [_treat(value, breaches, threshold, missing) for value in values]
    shown = f"{len(values)} periods: {', '.join('-' if v is None else f'{v:g}' for v in values)}"
    if sum(each is True for each in treated) >= int(alarm.get("DatapointsToAlarm") or len(values)):
        return Verdict(ALARM, f"Threshold Crossed: {shown}; threshold {threshold:g}")
    if all(each is None for each in treated):
        state = str(alarm.get("StateValue") or INSUFFICIENT) if missing == "ignore" else INSUFFICIENT
        return Verdict(state, f"Insufficient Data: {shown}")
    return Verdict(OK, f"Threshold not crossed: {shown}; threshold {threshold:g}")


def _summarize(by_period: Mapping[int, Sequence[Point]], number: int, statistic: str) -> float | None:
    return summarize(by_period[number], statistic) if by_period.get(number) else None


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
