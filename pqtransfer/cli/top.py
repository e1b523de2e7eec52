"""`pqtransfer top`: every transfer and worker at once, live."""

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile, connect
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption
from pqtransfer.cli.progress_bar import format_bytes, format_seconds
from pqtransfer.cli.watching import describe_live, make_live, share_done, write_retries
from pqtransfer.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pqtransfer.sdk.overview import Overlook, Overview, RunningTransfer

app = typer.Typer()

FAILED_LOOKS_AT_MOST = 10
"""In a row; then the command ends with the reason."""
_WAITING_SHOWN = 5


@app.command(epilog=show_examples("pqtransfer top", "pqtransfer top --once", "pqtransfer top --json --interval 5"))
def top(
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    interval: Annotated[float, typer.Option(min=0.5, max=60, metavar="SECONDS", help="Between two looks.")] = 1.0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many transfers of a state at most.")] = 100,
    stalled_after: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Without a part done, a transfer is called stalled.")
    ] = 30.0,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Watch all transfers and workers until Ctrl-C. For operators.

    With --json each look is one line. Where there is no terminal, each look is some lines of text.
    """
    overlook = connect(deployment).overlook(limit=limit, stalled_after_seconds=stalled_after)
    if as_json:
        for overview in look_again(overlook, interval=interval, once=once):
            typer.echo(json.dumps(describe_overview(overview)))
        return
    live = None if once else make_live()
    if live is None:
        for overview in look_again(overlook, interval=interval, once=once):
            typer.echo("\n".join(write_overview(overview)))
        return
    with live:
        for overview in look_again(overlook, interval=interval, once=once):
            live.update(render_overview(overview), refresh=True)


def look_again(overlook: "Overlook", *, interval: float, once: bool) -> "Iterator[Overview]":
    """Look after look. One that cannot be had is left out, ten in a row are not.

    Raises:
        UnavailableError: nothing answers.
    """
    failures = 0
    while True:
        try:
            yield overlook.look()
            failures = 0
        except UnavailableError as error:
            failures += 1
            if once or failures >= FAILED_LOOKS_AT_MOST:
                raise
            typer.echo(f"no answer, trying again: {error}", err=True)
        if once:
            return
        time.sleep(interval * 2 ** min(failures, 4))


def describe_overview(overview: "Overview") -> dict[str, Any]:
    """One JSON line."""
    workload = overview.workload
    return {
        "at": overview.at.isoformat(timespec="milliseconds"),
        "running": [describe_live(each.transfer, each.stalled) for each in overview.running],
        "waiting": [describe_live(each, None) for each in overview.waiting],
        "ended": [
            {
                "transfer_id": record.transfer_id,
                "state": record.state,
                "at": record.changed_at.isoformat(timespec="milliseconds"),
                "failure": f"{record.failure.code}: {record.failure.message}" if record.failure else None,
            }
            for record in overview.ended
        ],
        "workers": [
            {
                "worker": worker.name,
                "transfers": worker.transfers,
                "bytes_per_second": round(worker.bytes_per_second),
                "stalled": worker.stalled,
            }
            for worker in overview.workers
        ],
        "messages_waiting": workload.messages_waiting,
        "messages_in_flight": workload.messages_in_flight,
        "workers_desired": workload.workers_desired,
        "workers_running": workload.workers_running,
        "is_cut": overview.is_cut,
    }


def write_overview(overview: "Overview") -> list[str]:
    """Lines of text: a summary, then one for each transfer."""
    lines = [f"{overview.at.isoformat(timespec='seconds')}  {write_summary(overview)}"]
    lines += ["  " + "  ".join(cell for cell in write_row(each) if cell) for each in overview.running]
    lines += [f"  {each.transfer_id}  SUBMITTED  {each.sender}" for each in overview.waiting[:_WAITING_SHOWN]]
    lines += [f"  {record.transfer_id}  {record.state}  {write_end(record)}".rstrip() for record in overview.ended]
    return lines


def write_summary(overview: "Overview") -> str:
    """The line on top."""
    workload = overview.workload
    rate = sum(worker.bytes_per_second for worker in overview.workers)
    stalled = sum(1 for each in overview.running if each.stalled)
    more = "+" if overview.is_cut else ""
    return (
        f"{len(overview.running)}{more} running ({stalled} stalled), {len(overview.waiting)}{more} submitted, "
        f"{rate / 1e6:.0f} MB/s; "
        f"queue: {workload.messages_waiting} waiting, {workload.messages_in_flight} in flight; "
        f"workers: {len(overview.workers)} busy, {workload.workers_running} running of {workload.workers_desired}"
    )


def write_row(running: "RunningTransfer") -> tuple[str, ...]:
    """The cells of a running transfer."""
    transfer, progress = running.transfer, running.transfer.progress
    left = format_seconds(progress.seconds_left) if progress.seconds_left is not None else ""
    return (
        transfer.transfer_id,
        f"STALLED: {running.stalled}" if running.stalled else str(transfer.state),
        transfer.sender,
        f"{share_done(progress.bytes_done, progress.bytes_total):.0%}",
        f"{format_bytes(progress.bytes_done)} of {format_bytes(progress.bytes_total)}",
        f"{progress.bytes_per_second / 1e6:.0f} MB/s",
        left,
        f"{progress.parts_done}/{progress.parts_total}",
        transfer.owner or "",
        write_retries(transfer.retries),
    )


def write_end(record: Any) -> str:
    """Why it ended, where that was not well."""
    return f"{record.failure.code}: {record.failure.message}" if record.failure else ""


def render_overview(overview: "Overview") -> "RenderableType":
    """A table for a terminal, with what waits and what has just ended under it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    columns = ("transfer", "state", "from", "done", "bytes", "rate", "left", "parts", "worker", "retries")
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place == 0, overflow="fold")
    for each in overview.running:
        table.add_row(*(Text(cell) for cell in write_row(each)), style="yellow" if each.stalled else None)
    waiting = [Text(f"{each.transfer_id}  SUBMITTED  {each.sender}") for each in overview.waiting[:_WAITING_SHOWN]]
    hidden = len(overview.waiting) - len(waiting)
    ended = [
        Text(f"{record.transfer_id}  {record.state}  {write_end(record)}", style="red" if record.failure else "green")
        for record in overview.ended
    ]
    more = [Text(f"and {hidden} more that wait")] if hidden > 0 else []
    head = Text(f"{_write_clock(overview.at)}  {write_summary(overview)}", style="bold")
    return Group(head, table, *waiting, *more, *ended)


def _write_clock(at: datetime) -> str:
    return at.strftime("%H:%M:%SZ")
