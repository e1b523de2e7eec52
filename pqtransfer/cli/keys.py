"""`pqtransfer keys`: look at the keys of a deployment, rotate them, back them up, restore them, prove the backups."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pqtransfer.cli import incidents, key_recovery
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.key_recovery import KEY_ID_DIGITS, AnyName, tell_incomplete
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table

if TYPE_CHECKING:
    from datetime import datetime

    from pqtransfer.keys.participant import KeyVersion
    from pqtransfer.sdk.keys import Keys

app = typer.Typer(name="keys", help="The keys of participants: states, rotation, backups.", no_args_is_help=True)
app.add_typer(key_recovery.app)
app.add_typer(incidents.app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The participant.", show_default=False)]


@app.command(name="list", epilog=show_examples("pqtransfer keys list", "pqtransfer keys list hospital-a --json"))
def list_keys(
    name: AnyName = None, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False
) -> None:
    """List every version of the keys of all participants, or of one.

    Of one, it also says how many envelopes are still under each key that is out of use.
    """
    keys = _connect(deployment)
    found = [key for registered in keys.list_participants(name) for key in registered.keys]
    left = {key.key_id: None if name is None else keys.count_envelopes(key) for key in found}
    if as_json:
        counted = [{} if name is None else {"envelopes_left": left[key.key_id]} for key in found]
        print_json([{**describe_key(key), **count} for key, count in zip(found, counted, strict=True)])
        return
    rows = [
        (
            key.participant,
            key.purpose,
            str(key.version),
            key.state,
            key.suite_id,
            key.key_id[:KEY_ID_DIGITS],
            _show_time(key.state_changed_at or key.activated_at or key.created_at),
            *(() if name is None else (_show_count(left[key.key_id]),)),
        )
        for key in found
    ]
    columns = ("name", "purpose", "version", "state", "suite", "key id", "since (UTC)")
    print_table("Keys", columns if name is None else (*columns, "envelopes left"), rows)


@app.command(epilog=show_examples("pqtransfer keys show hospital-a 92a563790417bd44"))
def show(
    name: Name,
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key id, or its beginning.", show_default=False)],
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show one key version: its state and times, why it was revoked, if it was, and how many envelopes it still has to
    leave, if it is out of use."""
    keys = _connect(deployment)
    found = keys.find(name, key)
    print_fields({**describe_key(found), "envelopes_left": keys.count_envelopes(found)}, as_json=as_json)


@app.command(
    epilog=show_examples("pqtransfer keys rotate hospital-a", "pqtransfer keys rotate hospital-a --purpose kem")
)
def rotate(
    name: Name,
    purpose: Annotated[
        Literal["kem", "signing"] | None,
        typer.Option(help="Rotate this key alone; both if left out.", show_default=False),
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Give a managed participant new keys now. What was wrapped to the old ones still opens."""
    from pqtransfer.crypto.keypairs import KeyPurpose

    purposes = tuple(KeyPurpose) if purpose is None else (KeyPurpose(purpose),)
    rotated = _connect(deployment).rotate(name, purposes=purposes)
    if as_json:
        print_json(
            [
                {"old": None if each.old is None else describe_key(each.old), "new": describe_key(each.new)}
                for each in rotated
            ]
        )
        return
    rows = [
        (
            each.new.purpose,
            "-" if each.old is None else f"{each.old.key_id[:KEY_ID_DIGITS]} ({each.old.state})",
            f"{each.new.key_id[:KEY_ID_DIGITS]} ({each.new.state})",
        )
        for each in rotated
    ]
    print_table(f"New keys of {name}", ("purpose", "old key", "new key"), rows)


@app.command(
    epilog=show_examples(
        "pqtransfer keygen --out keys/hospital-b-2027 --name hospital-b",
        "pqtransfer keys replace hospital-b --key keys/hospital-b --new-key keys/hospital-b-2027",
    )
)
def replace(
    name: Name,
    key: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The key directory in use; it signs for the new one.", show_default=False),
    ],
    new_key: Annotated[
        Path, typer.Option(metavar="DIR", help="The directory that `pqtransfer keygen` made.", show_default=False)
    ],
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Put new keys of a participant that keeps its own in the place of those in use. Keep the old ones: they open
    what was wrapped to them."""
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.participants import connect_participants

    registered = connect_participants(load_deployment(deployment)).replace_external(name, keys=key, new_keys=new_key)
    active = [each for each in registered.keys if each.state == "ACTIVE"]
    if as_json:
        print_json([describe_key(each) for each in active])
        return
    rows = [(each.purpose, str(each.version), each.key_id[:KEY_ID_DIGITS]) for each in active]
    print_table(f"Keys in use of {name}", ("purpose", "version", "key id"), rows)


@app.command(epilog=show_examples("pqtransfer keys backup", "pqtransfer keys backup hospital-a --make-missing"))
def backup(
    name: AnyName = None,
    make_missing: Annotated[
        bool, typer.Option("--make-missing", help="Have the backups made that are not there.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Have every backup of NAME made anew: for those that a drill cannot restore."),
    ] = False,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show which private keys are backed up; every key that the system makes is, before it is used."""
    if replace and (name is None or make_missing):
        raise typer.BadParameter("it is for one participant, by itself: pqtransfer keys backup NAME --replace")
    keys = _connect(deployment)
    if replace and name is not None:
        found = keys.replace_backups(name)
    else:
        found = keys.make_missing_backups(name) if make_missing else keys.list_backups(name)
    if as_json:
        print_json([{**describe_key(each.key), "backed_up": each.is_backed_up} for each in found])
        return
    rows = [
        (
            each.key.participant,
            each.key.purpose,
            each.key.key_id[:KEY_ID_DIGITS],
            each.key.state,
            "yes" if each.is_backed_up else "MISSING",
        )
        for each in found
    ]
    print_table("Backups", ("name", "purpose", "key id", "state", "backed up"), rows)


@app.command(epilog=show_examples("pqtransfer keys drill", "pqtransfer keys drill hospital-a"))
def drill(name: AnyName = None, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False) -> None:
    """Restore keys from their backups into a function's memory now, and prove each. It runs weekly by itself."""
    found = _connect(deployment).drill(name)
    if as_json:
        print_json(found)
    else:
        print_fields({"restored": found.restored, "failed": len(found.failed)}, as_json=False)
        if not found.finished:
            typer.echo("The rest goes on by itself; what cannot be restored raises an alert.")
        if found.failed:
            rows = [
                (each.participant, each.purpose, each.key_id[:KEY_ID_DIGITS], each.message) for each in found.failed
            ]
            print_table("Not restored", ("name", "purpose", "key id", "why"), rows)
    if found.failed:
        raise typer.Exit(tell_incomplete(len(found.failed), as_json=as_json))


def describe_key(key: "KeyVersion") -> dict[str, Any]:
    """The JSON of a key version: a stable subset, nothing of it secret."""
    return {
        "participant": key.participant,
        "purpose": key.purpose.value,
        "version": key.version,
        "state": key.state.value,
        "suite": key.suite_id,
        "key_id": key.key_id,
        "created_at": key.created_at.isoformat(),
        "activated_at": None if key.activated_at is None else key.activated_at.isoformat(),
        "state_changed_at": None if key.state_changed_at is None else key.state_changed_at.isoformat(),
        "revocation": None if key.revocation is None else key.revocation.model_dump(mode="json"),
    }


def _connect(deployment: Path) -> "Keys":
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.keys import connect_keys

    return connect_keys(load_deployment(deployment))


def _show_count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _show_time(time: "datetime") -> str:
    return f"{time:%Y-%m-%d %H:%M}"
