"""What the commands on the audit log share: where the log is, whose keys are believed, times, and progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.cli.options import UsageError

if TYPE_CHECKING:
    from pqtransfer.sdk.audit_log import AuditLog

DEFAULT_KEYS = Path("audit-keys.json")
DAY_LENGTH = len("2026-03-01")

LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log",
        metavar="DIR",
        envvar="PQTRANSFER_AUDIT_LOG",
        help="A copy of the log (`audit fetch`); left out, the log of the deployment.",
        show_default=False,
    ),
]
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        envvar="PQTRANSFER_AUDIT_KEYS",
        help="The published keys of the log and its witness: whom to believe. Left out: audit-keys.json for a copy, "
        "otherwise what the deployment has published.",
        show_default=False,
    ),
]
SinceTimeOption = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="From this day or time on (UTC): 2026-03-01.", show_default=False),
]
UntilTimeOption = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="To the end of this day, or before this time.", show_default=False),
]


def open_log(directory: Path | None, keys: Path | None, deployment: Path) -> "AuditLog":
    """The log in a directory, or the one of a deployment."""
    from pqtransfer.sdk.audit_directory import DirectoryLog
    from pqtransfer.sdk.audit_log import AuditLog, load_audit_keys

    if directory is not None:
        return AuditLog(DirectoryLog.open(directory), load_audit_keys(keys or DEFAULT_KEYS))
    from pqtransfer.sdk.audit_connection import connect_audit_log
    from pqtransfer.sdk.deployment import load_deployment

    policy = None if keys is None else load_audit_keys(keys)
    return connect_audit_log(load_deployment(deployment), policy=policy)


def read_time(text: str, *, option: str, is_end: bool = False) -> datetime:
    """A day or a time of the command line. A day stands for its beginning, at the end of a range for its end.

    Raises:
        UsageError: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} takes a day or a time, for example 2026-03-01 or 2026-03-01T12:00Z") from None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if is_end and len(text) == DAY_LENGTH:
        time += timedelta(days=1)
    return time


def read_range(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The range of time between two options.

    Raises:
        UsageError: one is no time, or the end is not after the beginning.
    """
    begin = None if since is None else read_time(since, option="--from")
    end = None if until is None else read_time(until, option="--to", is_end=True)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(f"--to {until} is not after --from {since}; give the earlier time to --from")
    return begin, end


def to_milliseconds(time: datetime | None) -> int | None:
    """POSIX milliseconds."""
    return None if time is None else int(time.timestamp() * 1000)


def format_milliseconds(time_ms: int) -> str:
    """A time for people: UTC, to the second."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def show_counting(label: str, *, what: str, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A count on stderr for the length of the block, where stderr is a terminal; gives what to call with the count."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _done: None
        return
    counted = TextColumn(f"{label} {{task.completed:,.0f}} {what}")
    with Progress(SpinnerColumn(), counted, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done: progress.update(task, completed=done)
