"""Draws a chart once, as rectangles, lines and texts, for the page (SVG) and the document (PDF) alike.

Lengths are points, from the top left corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pqtransfer.audit.report_model import Chart

WIDTH = 680.0
LABEL_WIDTH = 190.0
LABEL_AT_MOST = 36
ROW_HEIGHT = 20.0
PLOT_HEIGHT = 140.0
AXIS_WIDTH = 44.0
TICKS = 4


@dataclass(frozen=True)
class Box:
    """A bar."""

    x: float
    y: float
    width: float
    height: float
    is_marked: bool = False
    says: str = ""


@dataclass(frozen=True)
class Rule:
    """A line of the grid, or the base line."""

    x: float
    y: float
    length: float
    is_base: bool = False


@dataclass(frozen=True)
class Words:
    """A text, its base line at `y`."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    is_value: bool = False


Shape: TypeAlias = Box | Rule | Words


@dataclass(frozen=True)
class Drawing:
    """What is to be shown, and how large it is."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def draw_chart(chart: Chart) -> Drawing:
    """The bars of a chart, with their labels."""
    return _draw_rows(chart) if chart.horizontal else _draw_columns(chart)


def describe_chart(chart: Chart) -> str:
    """The chart in words, for whoever does not see it."""
    if not chart.values:
        return f"{chart.title}: nothing."
    largest = max(range(len(chart.values)), key=lambda at: chart.values[at])
    return (
        f"{chart.title}: {len(chart.values)} bars, {sum(chart.values):,} {chart.unit} in all; "
        f"the largest is {chart.labels[largest]} with {chart.values[largest]:,}."
    )


def _draw_rows(chart: Chart) -> Drawing:
    top = _round_up(max(chart.values, default=1))
    room = WIDTH - LABEL_WIDTH - 60
    shapes = list[Shape]()
    for at, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        y = at * ROW_HEIGHT
        length = max(room * value / top, 1.0)
        shapes += [
            Words(LABEL_WIDTH - 8, y + 14, _shorten(label), "end"),
            Box(LABEL_WIDTH, y + 3, length, ROW_HEIGHT - 6, at in chart.marked, f"{label}: {value:,} {chart.unit}"),
            Words(LABEL_WIDTH + length + 6, y + 14, f"{value:,}", is_value=True),
        ]
    return Drawing(WIDTH, max(len(chart.values), 1) * ROW_HEIGHT + 4, tuple(shapes))


def _draw_columns(chart: Chart) -> Drawing:
    top = _round_up(max(chart.values, default=1))
    base, room = PLOT_HEIGHT + 10, WIDTH - AXIS_WIDTH
    shapes = list[Shape]()
    for tick in range(TICKS + 1):
        y = base - PLOT_HEIGHT * tick / TICKS
        shapes += [
            Rule(AXIS_WIDTH, y, room, tick == 0),
            Words(AXIS_WIDTH - 6, y + 3.5, f"{top * tick // TICKS:,}", "end"),
        ]
    step = room / max(len(chart.values), 1)
    gap = min(step * 0.25, 4.0)
    for at, value in enumerate(chart.values):
        height = PLOT_HEIGHT * value / top
        says = f"{chart.labels[at]}: {value:,} {chart.unit}"
        if value:
            shapes.append(
                Box(AXIS_WIDTH + at * step + gap / 2, base - height, step - gap, height, at in chart.marked, says)
            )
    for at in _choose_labels(len(chart.labels)):
        shapes.append(
            Words(AXIS_WIDTH + (at + 0.5) * step, base + 15, chart.labels[at], _anchor(at, len(chart.labels)))
        )
    return Drawing(WIDTH, base + 20, tuple(shapes))


def _round_up(value: int) -> int:
    """The next number that divides well into the ticks."""
    step = 1
    while step * 10 * TICKS <= value:
        step *= 10
    nice = next((step * factor for factor in (1, 2, 3, 5, 10) if step * factor * TICKS >= value), step * 10)
    return nice * TICKS


def _choose_labels(count: int) -> Sequence[int]:
    if count <= 8:
        return range(count)
    return sorted({round(at * (count - 1) / 5) for at in range(6)})


def _anchor(at: int, count: int) -> Literal["start", "middle", "end"]:
    if count <= 8:
        return "middle"
    return "start" if at == 0 else "end" if at == count - 1 else "middle"


def _shorten(label: str) -> str:
    return label if len(label) <= LABEL_AT_MOST else label[: LABEL_AT_MOST - 1] + "\u2026"
