"""The progress bar: what it shows, and that it shows itself on terminals only."""

import io

import pytest
from rich.console import Console

from pqtransfer.cli.progress_bar import format_bytes, render_progress, show_progress
from pqtransfer.transfers.ledger import Progress
from pqtransfer.transfers.progress import ProgressMeter


def render(progress: Progress | None) -> str:
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as captured:
        console.print(render_progress("encrypting", progress))
    return captured.get().rstrip()


def test_it_shows_bytes_speed_and_time_left() -> None:
    """Half of 20 GB."""
    progress = Progress(
        bytes_done=10_000_000_000, bytes_total=20_000_000_000, bytes_per_second=400e6, seconds_left=25.0
    )
    line = render(progress)
    assert line.startswith("encrypting ")
    assert line.endswith("50% 10.0 GB of 20.0 GB 400 MB/s 0:25 left")


@pytest.mark.parametrize(
    ("progress", "end"),
    [
        (None, "encrypting"),
        (Progress(), "100% 0 B of 0 B 0 MB/s"),  # an empty model
        (Progress(bytes_done=1, bytes_total=4), "25% 1 B of 4 B 0 MB/s"),  # nothing measured yet
        (Progress(bytes_total=4, bytes_per_second=1, seconds_left=3725), "0% 0 B of 4 B 0 MB/s 1:02:05 left"),
    ],
)
def test_it_shows_what_is_known(progress: Progress | None, end: str) -> None:
    """Before there is a total, for nothing, before there is a speed, for hours."""
    assert render(progress).endswith(end)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (20_400_000_000, "20.4 GB"), (3.2e12, "3.2 TB")],
)
def test_bytes_are_shown_in_decimal_units(count: float, text: str) -> None:
    """As disks and networks count."""
    assert format_bytes(count) == text


def test_nothing_is_shown_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Log files stay clean; the meter can be given all the same."""
    with show_progress("encrypting") as display:
        display.watch(ProgressMeter(bytes_total=10, parts_total=1, started_at=0.0))
        assert display.read() is not None
        display.update(Progress(bytes_done=7))
        assert display.read() == Progress(bytes_done=7)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_gets_a_bar_unless_it_is_told_not_to(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On stderr, so that results can be piped."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_progress("encrypting", quiet=quiet) as display:
        display.update(Progress(bytes_done=5, bytes_total=10))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert ("encrypting" in printed.err) is not quiet
