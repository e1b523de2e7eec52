"""Put the commands together and run them: one place for errors, exit codes and `--version`.

Exit codes: 0 done; 2 wrong use or input; 3 data is not what its author signed; 4 not allowed, or no key for it;
5 something does not answer or has no room, try again; 1 anything else; 130 interrupted.
"""

import importlib.metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pqtransfer.cli import alerts, audit, containers, fleet, keys, models, offline, participants, top, transfers
from pqtransfer.cli.output import print_error, wants_json
from pqtransfer.errors import PqtransferError

EPILOG = (
    "Exit codes: 0 done, 2 wrong use or input, 3 data is not what its author signed, 4 not allowed or no key for it, "
    "5 something does not answer or has no room (try again), 1 anything else, 130 interrupted."
)


class ErrorReportingGroup(TyperGroup):
    """Turns every error that this project raises into a message on stderr and the error's exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except PqtransferError as error:
            print_error(error, as_json=wants_json(ctx))
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    name="pqtransfer",
    cls=ErrorReportingGroup,
    help="Send federated-learning models so that only their recipients can read them, today or with a quantum "
    "computer later.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(offline.app)
app.add_typer(containers.app)
app.add_typer(models.app)
app.add_typer(transfers.app)
app.add_typer(top.app)
app.add_typer(participants.app)
app.add_typer(keys.app)
app.add_typer(fleet.app)
app.add_typer(audit.app)
app.add_typer(alerts.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            version = importlib.metadata.version("pqtransfer")
        except importlib.metadata.PackageNotFoundError:  # run from a checkout
            version = "(not installed)"
        typer.echo(f"pqtransfer {version}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options that stand before the command."""


def run() -> None:
    """The program `pqtransfer`."""
    app()
