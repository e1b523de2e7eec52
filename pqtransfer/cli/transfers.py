"""`pqtransfer status`, `list` and `cancel`: transfers of a deployment."""

from typing import Annotated

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile, connect, describe_record
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table
from pqtransfer.cli.progress_bar import format_bytes
from pqtransfer.cli.watching import watch_to_end
from pqtransfer.errors import InputError

app = typer.Typer()

TransferArgument = Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="As `send` and `list` print it.")]


class UnknownStateError(InputError):
    """A state on the command line is not one."""

    def __init__(self, state: str, known: str) -> None:
        super().__init__(f"{state[:40]!r} is not a state of a transfer; choose one of {known}")


@app.command(
    epilog=show_examples(
        "pqtransfer status 01933b0e-8c1f-7a4e-9d55-0242ac120002",
        "pqtransfer status 01933b0e-8c1f-7a4e-9d55-0242ac120002 --watch --json",
    )
)
def status(
    transfer_id: TransferArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show progress until it has ended.")] = False,
    stalled_after: Annotated[
        float,
        typer.Option(min=1, metavar="SECONDS", help="With --watch: without a part done, it is called stalled."),
    ] = 30.0,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show a transfer: its state, progress, result or failure.

    With --watch --json it prints one JSON object a line, the last of which is what --json alone prints. The exit code
    tells how it ended.
    """
    client = connect(deployment)
    if not watch:
        print_fields(describe_record(client.status(transfer_id)), as_json=as_json)
        return
    record = watch_to_end(client, transfer_id, as_json=as_json, aside=False, stalled_after_seconds=stalled_after)
    if not as_json:
        print_fields(describe_record(record), as_json=False)


@app.command(
    name="list", epilog=show_examples("pqtransfer list --state RUNNING", "pqtransfer list --sender hospital-a --json")
)
def list_recent(
    sender: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this sender.", show_default=False)] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only in this state, for example FAILED.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """List transfers, newest first."""
    from pqtransfer.transfers.ledger import TransferState

    if state is not None and state.upper() not in set(TransferState):
        raise UnknownStateError(state, ", ".join(TransferState))
    wanted = None if state is None else TransferState(state.upper())
    records = list(connect(deployment).list_recent(sender=sender, state=wanted, limit=limit))
    if as_json:
        print_json([describe_record(record) for record in records])
        return
    rows = [
        (
            record.transfer_id,
            record.state,
            record.kind,
            record.request.sender,
            ", ".join(record.request.recipients),
            f"{format_bytes(record.progress.bytes_done)} of {format_bytes(record.progress.bytes_total)}",
            record.submitted_at.isoformat(timespec="seconds"),
        )
        for record in records
    ]
    print_table("Transfers", ("id", "state", "kind", "from", "to", "done", "submitted"), rows)


@app.command(epilog=show_examples("pqtransfer cancel 01933b0e-8c1f-7a4e-9d55-0242ac120002"))
def cancel(
    transfer_id: TransferArgument, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False
) -> None:
    """Cancel a transfer that has not ended. What it uploaded is dropped."""
    print_fields(describe_record(connect(deployment).cancel(transfer_id)), as_json=as_json)
