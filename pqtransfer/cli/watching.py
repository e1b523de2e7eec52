"""Show one transfer while it runs: a bar on a terminal, lines elsewhere, JSON lines for scripts.

The JSON lines are specified in docs/spec/progress-lines.md.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import typer

from pqtransfer.cli.deployments import describe_record
from pqtransfer.cli.progress_bar import format_bytes, format_seconds
from pqtransfer.errors import PqtransferError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType
    from rich.live import Live

    from pqtransfer.sdk.client import Client
    from pqtransfer.sdk.watching import Sighting
    from pqtransfer.transfers.ledger import TransferRecord
    from pqtransfer.transfers.live import LiveTransfer

_BAR_WIDTH = 30


class TransferFailedError(PqtransferError):
    """The transfer that was waited for did not complete. The exit code is that of the error it failed with."""

    def __init__(self, record: "TransferRecord") -> None:
        reason = f"{record.failure.message} ({record.failure.code})" if record.failure else "no reason is recorded"
        super().__init__(f"transfer {record.transfer_id} is {record.state}: {reason}")
        if record.failure is not None:
            self.exit_code = record.failure.exit_code  # type: ignore[misc]


def watch_to_end(
    client: "Client", transfer_id: str, *, as_json: bool, aside: bool = True, stalled_after_seconds: float | None = None
) -> "TransferRecord":
    """Show a transfer until it has ended, and return how it ended.

    `aside`: it is not the command's result, so that lines go to stderr, and people get none where there is no terminal.

    Raises:
        TransferFailedError: it ended as FAILED or CANCELLED.
    """
    from pqtransfer.transfers.ledger import TransferState
    from pqtransfer.transfers.stalling import STALLED_AFTER_SECONDS

    stalled_after_seconds = stalled_after_seconds or STALLED_AFTER_SECONDS
    live = None if as_json else make_live()
    record = None
    context: AbstractContextManager[Any] = live or nullcontext()
    with context:
        for sighting in client.watch(transfer_id, stalled_after_seconds=stalled_after_seconds):
            record = sighting.record
            if live is not None:
                live.update(render_sighting(sighting), refresh=True)
            elif as_json and sighting.is_news:
                typer.echo(json.dumps(describe_sighting(sighting)), err=aside)
            elif sighting.is_news and not aside:
                typer.echo(write_sighting(sighting))
    assert record is not None  # noqa: S101 - there is a first look
    if as_json and not aside:
        typer.echo(json.dumps(describe_record(record)))
    if record.state is not TransferState.COMPLETED:
        raise TransferFailedError(record)
    return record


def make_live() -> "Live | None":
    """What is shown again and again in the same place of a terminal; None where stderr is not one."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    return Live(console=console, auto_refresh=False) if console.is_terminal else None


def describe_sighting(sighting: "Sighting") -> dict[str, Any]:
    """One JSON line."""
    from pqtransfer.transfers.live import show_live

    return describe_live(show_live(sighting.record), sighting.stalled)


def describe_live(transfer: "LiveTransfer", stalled: str | None) -> dict[str, Any]:
    """A transfer in a JSON line."""
    progress = transfer.progress
    return {
        "transfer_id": transfer.transfer_id,
        "state": transfer.state,
        "kind": transfer.kind,
        "sender": transfer.sender,
        "recipients": list(transfer.recipients),
        "worker": transfer.owner,
        "attempt": transfer.attempt,
        "retries": dict(transfer.retries),
        **progress.model_dump(exclude={"bytes_per_second", "seconds_left", "idle_seconds"}),
        "bytes_per_second": round(progress.bytes_per_second),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left, 1),
        "idle_seconds": round(progress.idle_seconds, 1),
        "at": None if transfer.progress_at is None else transfer.progress_at.isoformat(timespec="milliseconds"),
        "stalled": stalled,
    }


def write_sighting(sighting: "Sighting") -> str:
    """One line of text."""
    record = sighting.record
    at = record.progress_at or record.changed_at
    return f"{at.isoformat(timespec='seconds')}  {record.state}  " + "  ".join(_list_facts(sighting))


def render_sighting(sighting: "Sighting") -> "RenderableType":
    """Two lines for a terminal: a bar with bytes, speed and time; then state, parts, worker, retries."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    record = sighting.record
    bar = Table.grid(padding=(0, 1))
    share = share_done(record.progress.bytes_done, record.progress.bytes_total)
    bar.add_row(
        Text(record.transfer_id[:13]), ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH), Text(f"{share:4.0%}")
    )
    facts = Text(f"{record.state}  " + "  ".join(_list_facts(sighting)), style="yellow" if sighting.stalled else "")
    return Group(bar, facts)


def share_done(bytes_done: int, bytes_total: int) -> float:
    """How much of it is done, from 0 to 1; nothing before the total is known."""
    return min(1.0, bytes_done / bytes_total) if bytes_total else 0.0


def write_retries(retries: "Mapping[str, int]") -> str:
    """`2 retries (CloudUnavailable 1, WorkerLost 1)`; nothing where there were none."""
    total = sum(retries.values())
    if not total:
        return ""
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(retries.items()))
    return f"{total} {'retry' if total == 1 else 'retries'} ({causes})"


def _list_facts(sighting: "Sighting") -> list[str]:
    record, progress = sighting.record, sighting.record.progress
    facts = [
        f"{format_bytes(progress.bytes_done)} of {format_bytes(progress.bytes_total)}",
        f"{progress.bytes_per_second / 1e6:.0f} MB/s",
        f"{format_seconds(progress.seconds_left)} left" if progress.seconds_left is not None else "",
        f"part {progress.parts_done} of {progress.parts_total}",
        f"worker {record.owner}" if record.owner else "",
        write_retries(record.retries),
        f"STALLED: {sighting.stalled}" if sighting.stalled else "",
    ]
    return [fact for fact in facts if fact]
