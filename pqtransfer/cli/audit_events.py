"""`pqtransfer audit tail`, `search` and `export`: the events of the log, each checked against its checkpoint."""

import itertools
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from pqtransfer.cli.audit_checks import describe_event, make_printable
from pqtransfer.cli.audit_options import (
    KeysOption,
    LogOption,
    SinceTimeOption,
    UntilTimeOption,
    format_milliseconds,
    open_log,
    read_range,
    show_counting,
    to_milliseconds,
)
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import UsageError, show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table

if TYPE_CHECKING:
    from pqtransfer.audit.selection import EventFilter
    from pqtransfer.sdk.audit_log import LoggedEvent

POLL_SECONDS = 2.0
COLUMNS = ("entry", "time (UTC)", "severity", "actor", "action", "target", "result")

app = typer.Typer()


@app.command(epilog=show_examples("pqtransfer audit tail", "pqtransfer audit tail --count 100 --follow"))
def tail(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="How many of the last events.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each new event until interrupted.")
    ] = False,
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show the last events. With --follow each new checkpoint is checked to continue the one before."""
    opened = open_log(log, keys, deployment)
    if follow:
        for found in opened.follow(last=count, wait=_wait):
            typer.echo(json.dumps(_describe(found)) if as_json else _make_line(found))
        return
    _print_events(opened.tail(count), "The last events", as_json=as_json)


@app.command(
    epilog=show_examples(
        "pqtransfer audit search --actor hospital-a --action key.* --from 2026-03-01 --to 2026-03-31",
        "pqtransfer audit search --severity high --json",
        "pqtransfer audit search --correlation round-17",
    )
)
def search(
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Who did it.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="key.revoke, or the beginning: key.*", show_default=False)
    ] = None,
    key_id: Annotated[
        str | None, typer.Option("--key", metavar="ID", help="A key id, or its beginning.", show_default=False)
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="ID", help="On what it was done.", show_default=False)] = None,
    correlation: Annotated[
        str | None, typer.Option(metavar="ID", help="The correlation id of a request.", show_default=False)
    ] = None,
    since: SinceTimeOption = None,
    until: UntilTimeOption = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="For example cryptography, key, access.", show_default=False)
    ] = None,
    severity: Annotated[str, typer.Option(metavar="LEVEL", help="This severe or more.")] = "informational",
    result: Annotated[
        str | None, typer.Option(metavar="RESULT", help="success or failure.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
    newest: Annotated[bool, typer.Option("--newest", help="From the end of the log backwards.")] = False,
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Find events. Every condition that is given must hold."""
    wanted = make_filter(
        actor=actor, action=action, key_id=key_id, target=target, correlation_id=correlation, since=since, until=until,
        kind=kind, severity=severity, result=result,
    )  # fmt: skip
    with show_counting("searching", what="entries", quiet=as_json) as watch:
        opened = open_log(log, keys, deployment)
        found = list(itertools.islice(opened.search(wanted, newest_first=newest, watch=watch), limit))
    _print_events(found, "Events", as_json=as_json)


@app.command(
    epilog=show_examples(
        "pqtransfer audit export --format ocsf --out events.jsonl",
        "pqtransfer audit export --format cef --from 2026-03-01 --to 2026-03-31 --out march.cef",
        "pqtransfer audit export --format parquet --out lake --region eu-central-1 --account 123456789012",
    )
)
def export(
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="ocsf (JSON lines), cef, or parquet.")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file; for parquet a directory. New, or empty.")],
    since: SinceTimeOption = None,
    until: UntilTimeOption = None,
    region: Annotated[str, typer.Option(metavar="REGION", help="parquet: the partition's region.")] = "",
    account: Annotated[str, typer.Option(metavar="ID", help="parquet: the partition's account.")] = "",
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Write the log's events for a SIEM or a data lake. PATH appears when all of it is there."""
    from pqtransfer.sdk.audit_export import export_events, require_export_format

    require_export_format(form)
    wanted = make_filter(since=since, until=until)
    opened = open_log(log, keys, deployment)
    with show_counting("exporting", what="entries", quiet=as_json) as watch:
        exported = export_events(
            opened.search(wanted, watch=watch), form=form, out=out, region=region, account_id=account
        )
    print_fields({"events": exported.events, "files": exported.files, "out": str(out)}, as_json=as_json)


def make_filter(
    *, since: str | None = None, until: str | None = None, kind: str | None = None, severity: str = "informational",
    result: str | None = None, **texts: str | None,
) -> "EventFilter":  # fmt: skip
    """The conditions of the command line.

    Raises:
        UsageError: one of them is none.
    """
    from pqtransfer.audit.events import EventKind, Severity
    from pqtransfer.audit.selection import EventFilter

    begin, end = read_range(since, until)
    _require_one_of("--kind", kind, list(EventKind))
    _require_one_of("--severity", severity.upper(), [level.name for level in Severity])
    _require_one_of("--result", result, ["success", "failure"])
    try:
        return EventFilter(
            since_ms=to_milliseconds(begin),
            until_ms=to_milliseconds(end),
            kind=None if kind is None else EventKind(kind),
            minimum_severity=Severity[severity.upper()],
            succeeded=None if result is None else result == "success",
            **texts,
        )
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["msg"])) from None


def _require_one_of(option: str, value: str | None, known: Iterable[str]) -> None:
    known = [each.lower() for each in known]
    if value is not None and value.lower() not in known:
        raise UsageError(f"{option} {value[:40]!r} is not known; choose one of {', '.join(known)}")


def _print_events(found: "Iterable[LoggedEvent]", title: str, *, as_json: bool) -> None:
    found = list(found)
    if as_json:
        print_json([_describe(each) for each in found])
    elif found:
        print_table(title, COLUMNS, [_make_row(each) for each in found])
    else:
        typer.echo("no such event")


def _describe(found: "LoggedEvent") -> dict[str, Any]:
    return {"index": found.index, **describe_event(found.event)}


def _make_row(found: "LoggedEvent") -> tuple[str, ...]:
    event = found.event
    result = "ok" if event.succeeded else f"failed: {event.reason}" if event.reason else "failed"
    cells = (event.actor, event.action, f"{event.target.type} {event.target.id}", result)
    time_text = format_milliseconds(event.time_ms)
    return (str(found.index), time_text, event.severity.name.lower(), *map(make_printable, cells))


def _make_line(found: "LoggedEvent") -> str:
    return "  ".join(_make_row(found))


def _wait() -> bool:
    time.sleep(POLL_SECONDS)
    return True
