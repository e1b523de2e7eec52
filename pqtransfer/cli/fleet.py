"""`pqtransfer fleet`: the workers of a deployment, what they do, and why there are as many."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table
from pqtransfer.cli.progress_bar import format_bytes

if TYPE_CHECKING:
    from pqtransfer.scaling.deciding import Decision
    from pqtransfer.sdk.fleet import Fleet, FleetView
    from pqtransfer.transfers.ledger import TransferRecord

app = typer.Typer()


@app.command(epilog=show_examples("pqtransfer fleet", "pqtransfer fleet --decisions 30 --json"))
def fleet(
    decisions: Annotated[int, typer.Option(min=0, max=100, help="How many of the last decisions to show.")] = 10,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show the workers, the queue, and the last decisions on the size of the fleet with their reasons."""
    view = _connect(deployment).look(decisions=decisions)
    summary = _summarize(view)
    if as_json:
        work = [_describe_work(record) for record in view.work]
        print_json({**summary, "work": work, "decisions": [_describe_decision(each) for each in view.decisions]})
        return
    print_fields(summary, as_json=False)
    if view.work:
        rows = [
            (
                record.owner or "-",
                record.transfer_id,
                record.kind,
                f"{format_bytes(record.progress.bytes_done)} of {format_bytes(record.progress.bytes_total)}",
            )
            for record in view.work
        ]
        print_table("At work", ("worker", "transfer", "kind", "done"), rows)
    if view.decisions:
        print_table(
            "Decisions",
            ("at", "workers", "needed", "reason", "why"),
            [
                (
                    each.at.isoformat(timespec="seconds"),
                    f"{each.found} -> {each.desired}" if each.is_change else str(each.desired),
                    str(each.needed),
                    each.reason,
                    each.says,
                )
                for each in view.decisions
            ],
        )


def _summarize(view: "FleetView") -> dict[str, Any]:
    return {
        "running": view.running,
        "busy": view.busy,
        "idle": view.idle,
        "starting": view.pending,
        "desired": view.desired,
        "minimum": view.minimum,
        "maximum": view.maximum,
        "messages_waiting": view.messages_waiting,
        "messages_in_flight": view.messages_in_flight,
    }


def _describe_work(record: "TransferRecord") -> dict[str, Any]:
    return {
        "worker": record.owner,
        "transfer_id": record.transfer_id,
        "kind": record.kind,
        "bytes_done": record.progress.bytes_done,
        "bytes_total": record.progress.bytes_total,
    }


def _describe_decision(decision: "Decision") -> dict[str, Any]:
    return {
        "at": decision.at.isoformat(),
        "found": decision.found,
        "desired": decision.desired,
        "needed": decision.needed,
        "reason": decision.reason,
        "says": decision.says,
        "missing": list(decision.missing),
        "carried_out": decision.applied,
    }


def _connect(deployment: Path) -> "Fleet":
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.fleet import connect_fleet

    return connect_fleet(load_deployment(deployment))
