"""`pqtransfer audit hold`: entries that nobody may purge, whatever the rules of retention say."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from pqtransfer.cli.audit_options import KeysOption
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from pqtransfer.audit.holds import Holds

app = typer.Typer(name="hold", help="Legal holds on entries of the audit log.", no_args_is_help=True)

First = Annotated[int, typer.Argument(metavar="FIRST", min=0, help="The first entry.", show_default=False)]
Last = Annotated[
    int | None, typer.Argument(metavar="LAST", min=0, help="The last entry; left out, FIRST alone.", show_default=False)
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the record: a case number.", show_default=False)
]
HeldFor = Annotated[
    str | None,
    typer.Option(
        "--held-for",
        metavar="TEXT",
        help="The reason of the hold, where the same entries have several.",
        show_default=False,
    ),
]


@app.command(
    name="set",
    epilog=show_examples(
        'pqtransfer audit hold set 1200 --reason "case 2026-17"',
        'pqtransfer audit hold set 1200 5000 --reason "case 2026-17" --json',
    ),
)
def set_hold(
    first: First,
    reason: Reason,
    last: Last = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Hold entries, so that retention does not purge them, nor any that come after them.

    Entries are held with the others of their bundles of 256. The log tells who has done it, and why. To hold again
    what is held is no error. Needs the role `custodian`.
    """
    holds = _connect(deployment, keys)
    held = holds.hold(first, first if last is None else last, reason=reason, correlation_id=f"hold-{uuid4()}")
    print_fields({"held": True, **asdict(held)}, as_json=as_json)


@app.command(epilog=show_examples('pqtransfer audit hold lift 1200 5000 --reason "case 2026-17 is closed"'))
def lift(
    first: First,
    reason: Reason,
    last: Last = None,
    held_for: HeldFor = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Lift a hold: name all of its entries. The log tells it before it is done.

    What other holds are on stays held, as far as the log tells of them: one that was set a moment ago may not stand
    there yet. To lift what is not held is no error. Needs the role `custodian`.
    """
    holds = _connect(deployment, keys)
    lifted = holds.release(
        first,
        first if last is None else last,
        reason=reason,
        correlation_id=f"hold-{uuid4()}",
        held_for=held_for,
    )
    print_fields({"held": False, **asdict(lifted)}, as_json=as_json)


@app.command(name="list", epilog=show_examples("pqtransfer audit hold list", "pqtransfer audit hold list --json"))
def list_holds(
    keys: KeysOption = None, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False
) -> None:
    """List the entries that are held now. Why, and by whom: `pqtransfer audit search --action audit.hold`."""
    held = list(_connect(deployment, keys).list_held())
    if as_json:
        print_json([asdict(each) for each in held])
        return
    rows = [(str(each.first), str(each.last), str(each.last - each.first + 1)) for each in held]
    print_table("Legal holds", ("first", "last", "entries"), rows)


def _connect(deployment: "Path", keys: "Path | None") -> "Holds":
    from pqtransfer.sdk.audit_holds import connect_holds
    from pqtransfer.sdk.audit_log import load_audit_keys
    from pqtransfer.sdk.deployment import load_deployment

    policy = None if keys is None else load_audit_keys(keys)
    return connect_holds(load_deployment(deployment), policy=policy)
