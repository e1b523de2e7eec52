"""`pqtransfer participants`: add participants to a deployment, and look at those that are there."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.output import JsonOption, print_json, print_table
from pqtransfer.errors import InputError

if TYPE_CHECKING:
    from pqtransfer.keys.participant import KeyVersion, RegisteredParticipant
    from pqtransfer.sdk.participants import Participants

KEY_ID_DIGITS = 16

app = typer.Typer(name="participants", help="Who can send and receive models.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and hyphens.", show_default=False)
]


class AmbiguousKindError(InputError):
    """The command does not say who keeps the private keys."""

    def __init__(self) -> None:
        super().__init__(
            "say who keeps the private keys: --managed (the system does) or --public-keys DIR (the participant does)"
        )


class ManagedOnlyOptionError(InputError):
    """An option was given that only a managed participant has."""

    def __init__(self) -> None:
        super().__init__(
            "--suite, --principal and --bucket go with --managed; an external participant brings its own keys, and "
            "workers do not act for it"
        )


@app.command(
    epilog="Examples: pqtransfer participants add hospital-a --managed "
    "--principal arn:aws:iam::123456789012:role/hospital-a --bucket our-models.  "
    "pqtransfer participants add hospital-b --public-keys hospital-b/"
)
def add(
    name: Name,
    managed: Annotated[bool, typer.Option("--managed", help="The system makes and keeps its private keys.")] = False,
    public_keys: Annotated[
        Path | None,
        typer.Option(
            "--public-keys",
            metavar="DIR",
            help="It keeps its private keys: the directory (or file) with the public-keys.json it gave you.",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="SUITE",
            help="With --managed: PQT-1 (the default), or PQT-2 for CNSA 2.0 strength.",
            show_default=False,
        ),
    ] = None,
    principal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARN",
            help="With --managed: an IAM role, user or account that may act as it. Repeatable.",
            show_default=False,
        ),
    ] = None,
    bucket: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BUCKET",
            help="With --managed: an S3 bucket that workers may use in its name, to read models and to write them. "
            "Repeatable; no other is used for it.",
            show_default=False,
        ),
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Add a participant. Safe to repeat: a call that was interrupted is finished by the same call."""
    if managed == (public_keys is not None):
        raise AmbiguousKindError
    if public_keys is not None and (suite or principal or bucket):
        raise ManagedOnlyOptionError
    participants = _connect(deployment)
    if public_keys is not None:
        registered = participants.add_external(name, keys=public_keys)
    else:
        registered = participants.add_managed(name, suite_id=suite, principals=principal or [], buckets=bucket or [])
    _print_participant(registered, as_json=as_json)


@app.command(
    epilog="Examples: pqtransfer participants refresh  (all that are managed, after an update of the deployment).  "
    "pqtransfer participants refresh hospital-a"
)
def refresh(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which; none: every managed participant.", show_default=False),
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Bring the roles of managed participants back to what is registered. Keys stay as they are. Safe to repeat."""
    done = []
    for registered in _connect(deployment).refresh(names or ()):
        done.append(registered.name)
        if not as_json:
            typer.echo(f"{registered.name}: {registered.participant.role_arn}")
    if as_json:
        print_json({"refreshed": done})


@app.command(name="list", epilog="Example: pqtransfer participants list --json")
def list_all(deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False) -> None:
    """List the participants."""
    found = _connect(deployment).list_all()
    if as_json:
        print_json([_describe(registered) for registered in found])
        return
    rows = [
        (
            registered.name,
            registered.participant.kind,
            _suite_of(registered),
            "ready" if registered.is_ready else "not ready",
            _count_keys(registered),
            f"{registered.participant.created_at:%Y-%m-%d %H:%M}",
        )
        for registered in found
    ]
    print_table("Participants", ("name", "kind", "suite", "state", "keys", "added (UTC)"), rows)


@app.command(epilog="Example: pqtransfer participants show hospital-a")
def show(name: Name, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False) -> None:
    """Show one participant with every version of its keys."""
    _print_participant(_connect(deployment).show(name), as_json=as_json)


def _connect(deployment: Path) -> "Participants":
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.participants import connect_participants

    return connect_participants(load_deployment(deployment))


def _print_participant(registered: "RegisteredParticipant", *, as_json: bool) -> None:
    if as_json:
        print_json(_describe(registered))
        return
    rows = [
        (
            str(key.version),
            key.purpose,
            key.suite_id,
            key.state,
            key.key_id[:KEY_ID_DIGITS],
            f"{key.created_at:%Y-%m-%d %H:%M}",
        )
        for key in registered.keys
    ]
    columns = ("version", "purpose", "suite", "state", "key id", "made (UTC)")
    print_table(f"{registered.name} ({registered.participant.kind})", columns, rows)
    if registered.participant.role_arn:
        typer.echo(f"role: {registered.participant.role_arn}")
    for arn in registered.participant.principals:
        typer.echo(f"may act as it: {arn}")
    for bucket in registered.participant.buckets:
        typer.echo(f"workers may use for it: s3://{bucket}")


def _describe(registered: "RegisteredParticipant") -> dict[str, Any]:
    """The JSON for scripts: a stable subset of what is registered. `identity` is a whole `public-keys.json`."""
    identity = registered.to_identity()
    return {
        **registered.participant.model_dump(mode="json"),
        "ready": registered.is_ready,
        "keys": [_describe_key(key) for key in registered.keys],
        "identity": None if identity is None else identity.model_dump(mode="json"),
    }


def _describe_key(key: "KeyVersion") -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "version": key.version,
        "purpose": key.purpose,
        "suite": key.suite_id,
        "state": key.state,
        "created_at": key.created_at.isoformat(),
    }


def _count_keys(registered: "RegisteredParticipant") -> str:
    """How many keys are in each state: `2 ACTIVE, 1 RETIRING`."""
    counts = Counter(key.state for key in registered.keys)
    return ", ".join(f"{counts[state]} {state}" for state in counts)


def _suite_of(registered: "RegisteredParticipant") -> str:
    identity = registered.to_identity()
    return "-" if identity is None else identity.suite_id
