"""`pqtransfer alerts`: what is wrong, who takes care of it, and what nobody is to be told of for a time."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import UsageError, show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table

if TYPE_CHECKING:
    from pqtransfer.operations.alert_records import AlertRecord
    from pqtransfer.sdk.alerts import AlertDesk

DURATION = re.compile(r"(\d{1,4})([mhd])", re.ASCII)
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer()
alerts_app = typer.Typer(no_args_is_help=True, help="See alerts, acknowledge and silence them.")
app.add_typer(alerts_app, name="alerts")

AlertArgument = Annotated[
    str, typer.Argument(metavar="ALERT_ID", help="As `list` and every notification show it.", show_default=False)
]


@alerts_app.command(name="list", epilog=show_examples("pqtransfer alerts list", "pqtransfer alerts list --json"))
def list_alerts(deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False) -> None:
    """List the alerts that are not resolved, the worst first."""
    found = _connect(deployment).list_open()
    if as_json:
        print_json([_summarize(each) for each in found])
        return
    rows = [
        (
            each.alert_id,
            each.severity.value,
            each.state.value,
            each.lead.code,
            f"{each.opened_at:%Y-%m-%d %H:%M}",
            each.lead.summary[:80],
        )
        for each in found
    ]
    print_table("Alerts", ("id", "severity", "state", "code", "since (UTC)", "what"), rows)


@alerts_app.command(
    name="show",
    epilog=show_examples("pqtransfer alerts show 4815815ad156177478f1", "pqtransfer alerts show 4815815ad15... --json"),
)
def show_alert(
    alert_id: AlertArgument, deployment: DeploymentFile = DEFAULT_DEPLOYMENT, as_json: JsonOption = False
) -> None:
    """Show one alert: what was seen, since when, what was tried, and what to do."""
    from pqtransfer.operations.notifications import write_tried

    record = _connect(deployment).show(alert_id)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    print_fields({**_summarize(record), "tried": write_tried(record), "remedy": record.lead.remedy}, as_json=False)
    rows = [
        (
            each.code,
            "yes" if each.is_open else "over",
            str(each.count),
            f"{each.first_at:%Y-%m-%d %H:%M:%S}",
            f"{each.last_at:%Y-%m-%d %H:%M:%S}",
            each.summary[:80],
        )
        for each in record.members
    ]
    print_table("What was seen", ("code", "still so", "times", "first (UTC)", "last (UTC)", "what"), rows)


@alerts_app.command(
    name="ack",
    epilog=show_examples(
        "pqtransfer alerts ack 4815815ad156177478f1", "pqtransfer alerts ack 4815815ad156177478f1 --over"
    ),
)
def acknowledge_alert(
    alert_id: AlertArgument,
    is_over: Annotated[bool, typer.Option("--over", help="Nothing of it is left: resolve it.")] = False,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Take care of an alert: it does not escalate for a time. Who did is on record."""
    record = _connect(deployment).acknowledge(alert_id, is_over=is_over)
    print_fields(_summarize(record), as_json=as_json)


@alerts_app.command(
    name="silence",
    epilog=show_examples(
        "pqtransfer alerts silence --code task-stopped --for 2h --reason 'the fleet is being replaced'",
        "pqtransfer alerts silence --alert 4815815ad156177478f1 --for 30m --reason 'known' --json",
        "pqtransfer alerts silence --end 01933b0e-8c1f-7a4e-9d55-0242ac120002",
        "pqtransfer alerts silence",
    ),
)
def silence_alerts(
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Alerts of this code.", show_default=False)] = None,
    alert: Annotated[str | None, typer.Option(metavar="ALERT_ID", help="This alert.", show_default=False)] = None,
    lasts: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="30m, 2h, 3d: for how long, a week at most.", show_default=False),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = None,
    end: Annotated[
        str | None, typer.Option(metavar="SILENCE_ID", help="End this one before its time.", show_default=False)
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Have nobody told of some alerts for a time; without options, list the silences that there are."""
    desk = _connect(deployment)
    if end is not None:
        desk.end_silence(end)
        print_fields({"silence_id": end, "ended": True}, as_json=as_json)
        return
    if code is None and alert is None:
        _list_silences(desk, as_json=as_json)
        return
    if lasts is None or reason is None:
        raise UsageError("a silence needs --for TIME and --reason TEXT: it ends, and others learn why it is there")
    made = desk.silence(code=code, alert_id=alert, lasts=parse_duration(lasts), reason=reason)
    print_fields(made.model_dump(mode="json", exclude_none=True), as_json=as_json)


def parse_duration(text: str) -> timedelta:
    """`30m`, `2h`, `3d`.

    Raises:
        UsageError: it is none.
    """
    found = DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"--for {text!r} is no time: write minutes, hours or days, as in 30m, 2h, 3d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _list_silences(desk: "AlertDesk", *, as_json: bool) -> None:
    found = desk.list_silences()
    if as_json:
        print_json([each.model_dump(mode="json", exclude_none=True) for each in found])
        return
    rows = [
        (each.silence_id, each.code or each.alert_id or "-", f"{each.expires_at:%Y-%m-%d %H:%M}", each.reason[:60])
        for each in found
    ]
    print_table("Silences", ("id", "of", "until (UTC)", "reason"), rows)


def _summarize(record: "AlertRecord") -> dict[str, object]:
    lead = record.lead
    return {
        "alert_id": record.alert_id,
        "severity": record.severity.value,
        "state": record.state.value,
        "code": lead.code,
        "summary": lead.summary,
        "since": record.opened_at.isoformat(timespec="seconds"),
        "last_seen": record.last_seen_at.isoformat(timespec="seconds"),
        "escalated": record.level,
        "acknowledged_by": record.acknowledged_by,
        "silenced_until": None if record.silenced_until is None else record.silenced_until.isoformat(),
    }


def _connect(deployment: Path) -> "AlertDesk":
    from pqtransfer.sdk.alerts import connect_alerts
    from pqtransfer.sdk.deployment import load_deployment

    return connect_alerts(load_deployment(deployment))
