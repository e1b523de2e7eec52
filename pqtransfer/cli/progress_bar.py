"""A progress bar on stderr: label, bar, bytes, MB/s, time left. Shown only where stderr is a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pqtransfer.transfers.ledger import Progress
    from pqtransfer.transfers.progress import ProgressMeter

REFRESHES_PER_SECOND = 5
_BAR_WIDTH = 30


class ProgressDisplay:
    """What the bar shows: the meter it was given last (`watch`), or the last `Progress` (`update`)."""

    def __init__(self) -> None:
        self._read: Callable[[], Progress | None] = lambda: None

    def watch(self, meter: "ProgressMeter") -> None:
        """Show this meter from now on."""
        self._read = lambda: meter.read(at=time.monotonic())

    def update(self, progress: "Progress") -> None:
        """Show this until the next update."""
        self._read = lambda: progress

    def read(self) -> "Progress | None":
        """What to show now; None before there is anything."""
        return self._read()


@contextmanager
def show_progress(label: str, *, quiet: bool = False) -> Iterator[ProgressDisplay]:
    """A bar for the length of the block; `quiet` shows none."""
    from rich.console import Console
    from rich.live import Live

    display = ProgressDisplay()
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield display
        return
    with Live(
        get_renderable=lambda: render_progress(label, display.read()),
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
    ):
        yield display


def render_progress(label: str, progress: "Progress | None") -> "RenderableType":
    """One line for a terminal."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if progress is None:
        return Text(label)
    share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 1.0
    left = "" if progress.seconds_left is None else f"{format_seconds(progress.seconds_left)} left"
    line = Table.grid(padding=(0, 1))
    line.add_row(
        Text(label),
        ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH),
        f"{share:4.0%}",
        f"{format_bytes(progress.bytes_done)} of {format_bytes(progress.bytes_total)}",
        f"{progress.bytes_per_second / 1e6:.0f} MB/s",
        left,
    )
    return line


def format_bytes(count: float) -> str:
    """A byte count for people, in decimal units: 20.4 GB."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def format_seconds(seconds: float) -> str:
    """A duration for people: 1:02:05, or 0:25."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
