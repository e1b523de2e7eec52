"""What the sections of a report are made of: columns that several tables have, lists of events, charts, and cells."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pqtransfer.audit.activity import MILLISECONDS_PER_DAY, Activity, Listed, Moment, Tally
from pqtransfer.audit.report_model import Cell, Chart, Column, Table

WEEKLY_FROM_DAYS = 93
BARS_AT_MOST = 12
ROWS_AT_MOST = 1000
DAYS_PER_WEEK = 7

WHEN = Column(name="time", title="Time (UTC)", style="time")
ENTRY = Column(name="entry", title="Entry", style="number")
EVENTS = Column(name="events", title="Events", style="number")
FAILED = Column(name="failed", title="Failed", style="number")
ACTOR = Column(name="actor", title="Who", style="word")
ACTION = Column(name="action", title="Action", style="word")
TARGET = Column(name="target", title="On what")
RESULT = Column(name="result", title="Result")


def list_moments(name: str, title: str, listed: Listed[Moment]) -> Table:
    """A table of events, one a row."""
    return Table(
        name=name,
        title=title,
        columns=(WHEN, Column(name="severity", title="Severity", style="word"), ACTOR, ACTION, TARGET, RESULT, ENTRY),
        rows=tuple(
            (
                tell_time(each.event.time_ms), each.event.severity.name.lower(), each.event.actor, each.event.action,
                f"{each.event.target.type} {each.event.target.id}", tell_result(each), each.index,
            )
            for each in listed.items[:ROWS_AT_MOST]
        ),
        left_out=listed.left_out + max(len(listed.items) - ROWS_AT_MOST, 0),
    )  # fmt: skip


def draw_activity(activity: Activity, marked_days: set[int]) -> tuple[Chart, ...]:
    """Events a day; a week in long periods."""
    if not activity.total.events:
        return ()
    step = DAYS_PER_WEEK if activity.days > WEEKLY_FROM_DAYS else 1
    bars = range(0, activity.days, step)
    values = tuple(sum(activity.by_day[day] for day in range(first, first + step)) for first in bars)
    marked = tuple(at for at, first in enumerate(bars) if marked_days & set(range(first, first + step)))
    title = "Events a week" if step > 1 else "Events a day"
    days = Chart(
        title=f"{title}; marked: a day of an actor stands out" if marked else title,
        unit="events",
        labels=tuple(tell_day(activity, first) for first in bars),
        values=values,
        marked=marked,
    )
    return days, draw_tallies("Most active", {name: use.tally for name, use in activity.actors.items()})


def draw_tallies(title: str, tallies: Mapping[str, Tally]) -> Chart:
    """A bar for each of the most frequent, and one for the others."""
    shown = sorted(tallies.items(), key=lambda item: (-item[1].events, item[0]))
    rest = shown[BARS_AT_MOST:]
    bars = [(name, tally.events) for name, tally in shown[:BARS_AT_MOST]]
    if rest:
        bars.append((f"{len(rest)} others", sum(tally.events for _, tally in rest)))
    return Chart(
        title=title,
        unit="events",
        labels=tuple(name for name, _ in bars),
        values=tuple(count for _, count in bars),
        horizontal=True,
    )


def tell_result(moment: Moment) -> str:
    """How it ended, and why."""
    event = moment.event
    word = "done" if event.succeeded else "failed"
    return f"{word}: {event.reason}" if event.reason else word


def tell_participants(moment: Moment) -> tuple[str, str]:
    """From whom a transfer is, and to whom."""
    event = moment.event
    receives = event.action.rpartition(".")[2] == "receive"
    recipients = event.details.get("recipients") or (event.actor if receives else "-")
    return event.details.get("sender") or event.actor, recipients


def tell_time(time_ms: int | None) -> Cell:
    """A time to the second; nothing when there is none."""
    if time_ms is None:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S")


def tell_day(activity: Activity, day: int) -> str:
    """The date of a day of the period."""
    time_ms = activity.since_ms + day * MILLISECONDS_PER_DAY
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d")


def join_names(names: Iterable[str]) -> str:
    """Names with commas; a dash when there are none."""
    return ", ".join(names) or "-"


def tell_span(first: int | None, last: int | None) -> str:
    """The entries or numbers of a finding."""
    return "-" if first is None else str(first) if last is None else f"{first}-{last}"


def tell_about(is_about_completeness: bool) -> str:
    """What a finding is about."""
    return "completeness" if is_about_completeness else "integrity"
