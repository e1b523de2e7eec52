"""`pqtransfer keys report-compromise`, `incident`, `incidents`: report lost keys, and watch what is done about them."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table

if TYPE_CHECKING:
    from pqtransfer.protection.incident_report import IncidentReport
    from pqtransfer.sdk.incidents import Incidents

POLL_SECONDS = 1.0

app = typer.Typer()

IncidentArgument = Annotated[
    str, typer.Argument(metavar="INCIDENT_ID", help="As `report-compromise` prints it.", show_default=False)
]


@app.command(
    name="report-compromise",
    epilog=show_examples(
        "pqtransfer keys report-compromise hospital-b --reason 'a laptop was stolen' --since 2026-03-01T08:00:00Z",
        "pqtransfer keys report-compromise hospital-b --key 92a5...bd44 --reason 'seen in a backup' --json",
    ),
)
def report_compromise(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose keys.", show_default=False)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What happened.", show_default=False)],
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY_ID",
            help="Which key, by its whole id. Repeatable; all of them if left out.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z"],
            help="From when on somebody else may have had it. Left out: not known, so always.",
            show_default=False,
        ),
    ] = None,
    incident_id: Annotated[
        str | None,
        typer.Option("--incident", metavar="ID", help="Report the same incident again.", show_default=False),
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Report keys of a participant as lost. They are revoked at once; everything else goes on by itself."""
    from datetime import UTC

    incident = _connect(deployment).report(
        name,
        reason=reason,
        key_ids=key or [],
        since=None if since is None else since if since.tzinfo else since.replace(tzinfo=UTC),
        incident_id=incident_id,
    )
    fields = {
        "incident_id": incident.incident_id,
        "participant": incident.report.participant,
        "step": incident.step.value,
        "keys_revoked": len(incident.key_ids),
        "revoked_at": incident.revoked_at.isoformat(timespec="seconds"),
        "watch": f"pqtransfer keys incident {incident.incident_id} --watch",
    }
    print_fields(fields, as_json=as_json)


@app.command(
    epilog=show_examples(
        "pqtransfer keys incident 01933b0e-8c1f-7a4e-9d55-0242ac120002 --watch",
        "pqtransfer keys incident 01933b0e-8c1f-7a4e-9d55-0242ac120002 --json > report.json",
        "pqtransfer keys incident 01933b0e-8c1f-7a4e-9d55-0242ac120002 --retry --watch",
    )
)
def incident(
    incident_id: IncidentArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show progress until everything is done.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Have what failed tried again first.")] = False,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Report on an incident: what was exposed, what is done, what is left to people."""
    from pqtransfer.protection.incident_report import write_document, write_text

    incidents = _connect(deployment)
    if retry:
        incidents.retry(incident_id)
    report = _watch(incidents, incident_id, as_json=as_json) if watch else incidents.read_report(incident_id)
    if as_json:
        print_json(write_document(report))
    else:
        typer.echo(write_text(report))


@app.command(epilog=show_examples("pqtransfer keys incidents --json"))
def incidents(deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False) -> None:
    """List the incidents, newest first."""
    found = _connect(deployment).list_all()
    rows = [
        (
            each.incident_id,
            each.report.participant,
            each.step.value,
            f"{each.report.reported_at:%Y-%m-%d %H:%M}",
            each.report.reason[:60],
        )
        for each in found
    ]
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    print_table("Incidents", ("id", "participant", "step", "reported (UTC)", "reason"), rows)


def _watch(incidents: "Incidents", incident_id: str, *, as_json: bool) -> "IncidentReport":
    """A line whenever something has changed: text for people, JSON for scripts, both on stderr."""
    from pqtransfer.protection.incident_report import describe_progress

    shown: dict[str, object] = {}
    while True:
        report = incidents.read_report(incident_id)
        progress = describe_progress(report.incident, report.tasks)
        if progress != shown:
            shown = progress
            line = json.dumps(progress) if as_json else "  ".join(f"{name} {value}" for name, value in progress.items())
            typer.echo(line, err=True)
        if report.incident.is_closed:
            return report
        time.sleep(POLL_SECONDS)


def _connect(deployment: Path) -> "Incidents":
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.incidents import connect_incidents

    return connect_incidents(load_deployment(deployment))
