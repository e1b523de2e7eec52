"""`pqtransfer keys recovery-key|restore`: what works when there is no cloud left, with files alone."""

from pathlib import Path
from typing import Annotated

import typer

from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_error, print_fields, print_json, print_table
from pqtransfer.errors import IntegrityError

KEY_ID_DIGITS = 16

app = typer.Typer()

AnyName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One participant; all if left out.", show_default=False)
]


class RestoreIncompleteError(IntegrityError):
    """Some keys do not come back from their backups."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} backups cannot be used; see docs/runbooks/key-restore-failed.md")


@app.command(
    name="recovery-key",
    epilog=show_examples("pqtransfer keys recovery-key --out recovery"),
)
def recovery_key(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory to make it in.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Make the recovery key that backups are sealed to. Keep its private half offline, in more than one place."""
    from pqtransfer.sdk.key_recovery import RECOVERY_PRIVATE_NAME, RECOVERY_PUBLIC_NAME, make_recovery_key

    key = make_recovery_key(out)
    print_fields(
        {
            "recovery_key": key.key_id,
            "suite": key.suite_id,
            "public_key": str(out / RECOVERY_PUBLIC_NAME),
            "private_key": str(out / RECOVERY_PRIVATE_NAME),
        },
        as_json=as_json,
    )


@app.command(
    epilog=show_examples(
        "pqtransfer keys restore --backups backups --recovery-key recovery --out restored",
        "pqtransfer keys restore hospital-a --backups backups --recovery-key recovery --out restored --env production",
    )
)
def restore(
    backups: Annotated[
        Path,
        typer.Option(metavar="DIR", help="A copy of the bucket of backups, or of its replica.", show_default=False),
    ],
    recovery_key: Annotated[
        Path, typer.Option(metavar="DIR", help="The directory (or file) of the recovery key.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where key directories are made.", show_default=False)],
    name: AnyName = None,
    environment: Annotated[
        str | None,
        typer.Option("--env", metavar="ENV", help="Refuse backups of other environments.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make key directories from backups, offline: no cloud is asked, and none is needed."""
    from pqtransfer.sdk.key_recovery import restore_offline

    found = restore_offline(backups=backups, recovery=recovery_key, out=out, environment=environment, participant=name)
    if as_json:
        print_json(
            {
                "restored": [
                    {
                        "participant": each.participant,
                        "environment": each.environment,
                        "kem_key": each.kem_key_id,
                        "signing_key": each.signing_key_id,
                        "directory": str(each.directory),
                    }
                    for each in found.restored
                ],
                "unusable": [
                    {"file": str(each.path), "code": each.error.code, "message": str(each.error)}
                    for each in found.unusable
                ],
            }
        )
    else:
        rows = [
            (each.participant, each.environment, each.kem_key_id[:KEY_ID_DIGITS], str(each.directory))
            for each in found.restored
        ]
        print_table("Restored keys", ("name", "environment", "kem key", "directory"), rows)
        if found.unusable:
            print_table("Not used", ("file", "why"), [(str(each.path), str(each.error)) for each in found.unusable])
    if found.unusable:
        raise typer.Exit(tell_incomplete(len(found.unusable), as_json=as_json))


def tell_incomplete(count: int, *, as_json: bool) -> int:
    """Say that some keys did not come back, and return the exit code of that."""
    error = RestoreIncompleteError(count)
    print_error(error, as_json=as_json)
    return error.exit_code
