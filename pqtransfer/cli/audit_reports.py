"""`pqtransfer audit report`: what a compliance officer needs, of a log that was verified on the way."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pqtransfer.cli.audit_options import KeysOption, LogOption, open_log, read_time, show_counting
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_warning

app = typer.Typer()


@app.command(
    epilog=show_examples(
        "pqtransfer audit report --from 2026-03-01 --to 2026-03-31 --framework hipaa",
        "pqtransfer audit report --from 2026-01-01 --to 2026-03-31 --format pdf --out first-quarter.pdf",
        "pqtransfer audit report --log log --keys audit-keys.json --from 2026-03-01 --to 2026-03-31 --format csv",
    )
)
def report(
    since: Annotated[str, typer.Option("--from", metavar="DAY", help="The first day, or a time (UTC).")],
    until: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day, or the time at which it ends.")],
    framework: Annotated[str, typer.Option(metavar="NAME", help="sox, hipaa, pci-dss, or all.")] = "all",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="html, pdf, json, or csv.")] = "html",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The file, for csv a directory; left out, named after framework and days. It is replaced.",
            show_default=False,
        ),
    ] = None,
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Report all cryptographic operations, access patterns, keys, transfers and security events of a period.

    The log is verified first. If it is not intact, the report says so on its first page, and the exit code is 3.
    """
    from pqtransfer.audit.report_model import read_framework
    from pqtransfer.audit.reporting import name_report
    from pqtransfer.cli.audit_checks import LogReportedDamagedError
    from pqtransfer.sdk.audit_reports import require_report_format, write_report

    require_report_format(form)
    wanted = read_framework(framework)
    begin, end = read_time(since, option="--from"), read_time(until, option="--to", is_end=True)
    opened = open_log(log, keys, deployment)
    with show_counting("reading", what="entries", quiet=as_json) as watch:
        made = opened.report(framework=wanted, since=begin, until=end, now=datetime.now(UTC), watch=watch)
    target = out or Path(f"{name_report(made)}{'' if form == 'csv' else f'.{form}'}")
    write_report(made, form=form, out=target)
    if not made.events:
        print_warning("there are no events in this period; the report says so")
    print_fields(
        {
            "events": made.events,
            "log_intact": made.integrity.intact,
            "log_complete": made.integrity.complete,
            "verified_against": made.integrity.root_sha256,
            "out": str(target),
        },
        as_json=as_json,
    )
    if not made.integrity.intact:
        raise LogReportedDamagedError(target)
