"""`pqtransfer audit retention`: what would be archived and purged. The deployment does it by itself, once a day."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from pqtransfer.cli.audit_options import KeysOption, read_time
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields

app = typer.Typer()


@app.command(
    epilog=show_examples(
        "pqtransfer audit retention",
        "pqtransfer audit retention --rules default=90:365,security=365:2557 --at 2027-01-01",
    )
)
def retention(
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="RULES",
            help="CLASS=HOT:KEEP in days, with commas; left out, those of the deployment.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="As if it were then; left out, now.", show_default=False)
    ] = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show what retention would archive and purge of the audit log. Nothing is changed.

    A purge takes two runs of the deployment: the first says so in the log, the second deletes. A legal hold or a lock
    on a bundle keeps it and all that come after it.
    """
    from pqtransfer.audit.retention import RetentionRules
    from pqtransfer.sdk.audit_connection import plan_retention
    from pqtransfer.sdk.audit_log import load_audit_keys
    from pqtransfer.sdk.deployment import load_deployment

    chosen = load_deployment(deployment)
    text = rules or chosen.audit_retention_rules
    outcome = plan_retention(
        chosen,
        RetentionRules.from_text(text),
        now=datetime.now(UTC) if at is None else read_time(at, option="--at"),
        policy=None if keys is None else load_audit_keys(keys),
    )
    print_fields(
        {
            "rules": text,
            "first_kept": outcome.first_kept,
            "to_archive": outcome.archived,
            "to_purge_now": outcome.purged,
            "to_announce": outcome.announced,
            "first_kept_then": outcome.announced_first_kept,
            "held_at": outcome.held_at,
        },
        as_json=as_json,
    )
