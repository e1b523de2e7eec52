"""The outcome as a table, and as plots (SVG)."""

from collections.abc import Sequence
from pathlib import Path

from scripts.simulation.running import Outcome
from scripts.simulation.workload import DAY, HOUR

HEAD = (
    "| policy | median wait | p99 wait | to oracle | round done in | missed deadlines | task-hours | cost | to oracle |"
)
RULE = "|---|--:|--:|--:|--:|--:|--:|--:|--:|"


def write_table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table; the last outcome is what the others are compared with."""
    oracle = outcomes[-1]
    rows = [
        f"| {each.name} | {_time(each.median_wait)} | {_time(each.p99_wait)} "
        f"| {_ratio(each.p99_wait, oracle.p99_wait)} | {_time(each.drain)} | {each.missed:,} "
        f"| {each.task_hours:,.0f} | ${each.cost_usd:,.0f} | {_ratio(each.cost_usd, oracle.cost_usd)} |"
        for each in outcomes
    ]
    return "\n".join([HEAD, RULE, *rows])


def write_plots(outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
    """Workers over the first day, and wait against cost. The files are the same for the same outcomes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "pqtransfer"
    folder.mkdir(parents=True, exist_ok=True)
    day, ends = folder / "scaling-day.svg", folder / "scaling-outcomes.svg"
    shown = [each for each in outcomes if each.name != "fixed fleet"]
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    for each in shown:
        points = [(at / HOUR, count) for at, count in each.workers[::2] if 5 * HOUR <= at <= min(15 * HOUR, DAY)]
        axes.plot([at for at, _ in points], [count for _, count in points], label=each.name, linewidth=1.2)
    axes.set(xlabel="hour of the first day", ylabel="workers")
    axes.legend(frameon=False)
    figure.savefig(day, metadata={"Date": None}, bbox_inches="tight")
    figure, axes = pyplot.subplots(figsize=(5, 3.5))
    for each in shown:
        axes.scatter(each.cost_usd, each.p99_wait / 60, label=each.name)
        axes.annotate(each.name, (each.cost_usd, each.p99_wait / 60), textcoords="offset points", xytext=(5, 5))
    axes.set(xlabel="cost (USD)", ylabel="p99 wait (minutes)")
    axes.margins(x=0.3, y=0.2)
    figure.savefig(ends, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close("all")
    return [day, ends]


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.1f} min"


def _ratio(value: float, reference: float) -> str:
    return "-" if reference < 1 else f"{value / reference:.2f}x"
