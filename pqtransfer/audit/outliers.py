"""Days on which an actor did far more than usual: a robust statistic, stated so that a reader can do it again.

For each actor, the number of events of each day of the period (days without any count as 0). The modified z-score of
Iglewicz and Hoaglin (1993) is 0.6745 * (x - median) / MAD, MAD being the median of the absolute deviations from the
median. Where more than half of the days are alike, MAD is 0, and (x - median) / (1.2533 * mean absolute deviation) is
taken instead. A day stands out above 3.5, in a period of at least 7 days, with at least 5 events more than the median.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

THRESHOLD = 3.5
DAYS_AT_LEAST = 7
SURPLUS_AT_LEAST = 5
STATEMENT = (
    "A day stands out when the modified z-score of an actor's daily number of events is above 3.5: "
    "0.6745 x (events - median) / MAD over all days of the period (Iglewicz and Hoaglin, 1993), with the mean absolute "
    "deviation x 1.2533 in place of MAD / 0.6745 where MAD is 0; in periods of at least 7 days, and from 5 events "
    "above the median on. It says that a day is unusual, not that anything is wrong."
)


@dataclass(frozen=True)
class Outlier:
    """`actor` did unusually much on `day` (its place in the period)."""

    actor: str
    day: int
    events: int
    median: float
    score: float


def find_outliers(days_by_actor: Mapping[str, Mapping[int, int]], *, days: int) -> list[Outlier]:
    """The days that stand out, highest score first.

    Args:
        days_by_actor: for each actor the number of events by day, 0 to `days` - 1; days without any are left out.
        days: the length of the period.
    """
    if days < DAYS_AT_LEAST:
        return []
    found = [each for actor, counts in days_by_actor.items() for each in _find_days(actor, counts, days)]
    return sorted(found, key=lambda outlier: (-outlier.score, outlier.actor, outlier.day))


def _find_days(actor: str, counts: Mapping[int, int], days: int) -> list[Outlier]:
    values = [*counts.values(), *[0] * (days - len(counts))]
    middle = median(values)
    unit = _find_unit(values, middle)
    return [
        Outlier(actor, day, count, middle, (count - middle) / unit)
        for day, count in counts.items()
        if unit and count - middle >= SURPLUS_AT_LEAST and (count - middle) / unit > THRESHOLD
    ]


def _find_unit(values: Sequence[int], middle: float) -> float:
    """What one point of the score is worth, in events; 0 where all days are alike."""
    deviations = [abs(value - middle) for value in values]
    return median(deviations) / 0.6745 or 1.2533 * fmean(deviations)
