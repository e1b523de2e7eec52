"""`pqtransfer audit verify`, `prove`, `check-proof` and `fetch`: is the log what its keys have signed?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqtransfer.cli.audit_options import (
    DEFAULT_KEYS,
    KeysOption,
    LogOption,
    format_milliseconds,
    open_log,
    show_counting,
)
from pqtransfer.cli.deployments import DEFAULT_DEPLOYMENT, DeploymentFile
from pqtransfer.cli.options import show_examples
from pqtransfer.cli.output import JsonOption, print_fields, print_json, print_table, print_warning
from pqtransfer.errors import IntegrityError, PqtransferError

if TYPE_CHECKING:
    from pqtransfer.audit.checking import CheckedLog
    from pqtransfer.audit.events import AuditEvent
    from pqtransfer.audit.findings import Report

app = typer.Typer()


class LogNotIntactError(IntegrityError):
    """The verification found that the log is not what its keys have signed."""

    def __init__(self, report: "Report") -> None:
        names = sorted({str(finding.kind) for finding in report.findings if not finding.kind.is_about_completeness})
        super().__init__(
            f"the audit log is not intact ({', '.join(names) or 'more findings than are kept'}); do not rely on it: "
            "keep it as evidence, compare it with a copy, and find out who could write to it"
        )


class LogReportedDamagedError(IntegrityError):
    """A report was made of a log that is not intact."""

    def __init__(self, report: Path) -> None:
        super().__init__(
            f"the audit log is not intact, as the first page of {report} says; do not rely on its figures: "
            "see `pqtransfer audit verify`, and keep the log as evidence"
        )


class LogIncompleteError(PqtransferError):
    """Every entry is true, but events are missing."""

    def __init__(self) -> None:
        super().__init__(
            "the audit log is intact, but events are missing; a producer's spool may still bring them: "
            "verify again, then ask the producers that are named"
        )


@app.command(
    epilog=show_examples(
        "pqtransfer audit verify",
        "pqtransfer audit verify --from log --keys audit-keys.json",
        "pqtransfer audit verify --since trusted --save-trusted trusted",
    )
)
def verify(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--from",
            "--log",
            metavar="DIR",
            envvar="PQTRANSFER_AUDIT_LOG",
            help="A copy of the log (`audit fetch`), checked offline; left out, the log of the deployment.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What an earlier run saved: only what came after is read. Or a checkpoint: the log must continue it.",
            show_default=False,
        ),
    ] = None,
    save_trusted: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to save, if the log is intact, what --since takes.", show_default=False
        ),
    ] = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Check the log from its files and public keys alone: is everything in it true, and is anything missing?

    Exit code 3: it is not intact. Exit code 1: it is intact, but events are missing.
    """
    from pqtransfer.sdk import audit_log

    log = open_log(directory, keys, deployment)
    trusted = None if since is None else audit_log.load_trusted(since)
    with show_counting("verifying", what="entries", quiet=as_json) as watch:
        checked = log.verify(since=trusted, watch=watch)
    if save_trusted is not None and checked.trusted is not None:
        audit_log.save_trusted(save_trusted, checked.trusted)
    _print_checked(checked, as_json=as_json)
    if not checked.report.is_intact:
        raise LogNotIntactError(checked.report)
    if not checked.report.is_complete:
        raise LogIncompleteError


@app.command(
    epilog=show_examples(
        "pqtransfer audit prove 17 --out entry-17.proof",
        "pqtransfer audit prove 0198c0de-0000-7000-8000-000000000001 --log log > entry.proof",
    )
)
def prove(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="An entry's index, or its event's id.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; left out, to stdout.", show_default=False)
    ] = None,
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Write a proof that an entry is in the log, which anyone can check offline with the public keys."""
    from pqtransfer.audit.log_files import read_event
    from pqtransfer.sdk.small_files import replace_file

    wanted = int(entry) if entry.isdecimal() and len(entry) < 20 else entry
    proof = open_log(log, keys, deployment).prove(wanted)
    if out is None and not as_json:
        typer.echo(proof.to_bytes().decode(), nl=False)
        return
    if out is not None:
        replace_file(out, proof.to_bytes())
    event = read_event(proof.index, proof.entry)
    shown: dict[str, Any] = {"index": proof.index, **describe_event(event), "proof": str(out) if out else None}
    if as_json and out is None:
        shown["proof"] = proof.to_bytes().decode()
    _print_event(shown, as_json=as_json)


@app.command(
    name="check-proof", epilog=show_examples("pqtransfer audit check-proof entry-17.proof --keys audit-keys.json")
)
def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.")],
    keys: KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a proof offline: is this entry in the log that these keys sign?"""
    from pqtransfer.sdk import audit_log

    proven = audit_log.check_proof(audit_log.load_proof(file), audit_log.load_audit_keys(keys or DEFAULT_KEYS))
    checkpoint = proven.signed.checkpoint
    _print_event(
        {
            "proven": True,
            "index": proven.index,
            **describe_event(proven.event),
            "log": checkpoint.origin,
            "log_size": checkpoint.size,
            "witnessed_at": _list_witnesses(proven.signed.witness_times),
        },
        as_json=as_json,
    )


@app.command(name="keys", epilog=show_examples("pqtransfer audit keys --out audit-keys.json"))
def show_keys(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; left out, to stdout.", show_default=False)
    ] = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Show the keys that a deployment has published for its log, for checks offline. Keep them apart from the log."""
    from pqtransfer.sdk.audit_connection import read_published_keys
    from pqtransfer.sdk.deployment import load_deployment
    from pqtransfer.sdk.small_files import replace_file

    published = read_published_keys(load_deployment(deployment))
    if out is None:
        print_json(published)
        return
    replace_file(out, published.to_json())
    print_fields({"log": published.origin, "keys": len(published.log_keys), "out": str(out)}, as_json=as_json)


@app.command(epilog=show_examples("pqtransfer audit fetch log"))
def fetch(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; a copy that is there is continued.")],
    log: LogOption = None,
    keys: KeysOption = None,
    deployment: DeploymentFile = DEFAULT_DEPLOYMENT,
    as_json: JsonOption = False,
) -> None:
    """Copy the log's files into a directory, to check and to read them offline. A second run fetches what is new."""
    with show_counting("fetching", what="files", quiet=as_json) as watch:
        fetched = open_log(log, keys, deployment).fetch(directory, watch=watch)
    for path in fetched.missing[:10]:
        print_warning(f"{path} is not there to be copied; see `pqtransfer audit verify --from {directory}`")
    print_fields(
        {"entries": fetched.size, "files_written": fetched.files_written, "files_missing": len(fetched.missing)},
        as_json=as_json,
    )


def make_printable(text: str) -> str:
    """What a stranger chose must not move the cursor of a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _print_event(fields: dict[str, Any], *, as_json: bool) -> None:
    """One result with an event in it; JSON escapes what a terminal must not be shown."""
    if not as_json:
        fields = {name: make_printable(value) if isinstance(value, str) else value for name, value in fields.items()}
        details = fields.get("details")
        if details:
            fields["details"] = {name: make_printable(value) for name, value in details.items()}
    print_fields(fields, as_json=as_json)


def describe_event(event: "AuditEvent") -> dict[str, Any]:
    """An event, for printing."""
    return {
        "time": format_milliseconds(event.time_ms) + "Z",
        "event_id": event.event_id,
        "kind": str(event.kind),
        "action": event.action,
        "actor": event.actor,
        "target": f"{event.target.type} {event.target.id}",
        "succeeded": event.succeeded,
        "severity": event.severity.name.lower(),
        "reason": event.reason,
        "key_id": event.key_id,
        "suite": event.suite,
        "source_address": event.source_address,
        "correlation_id": event.correlation_id,
        "size_bytes": event.size_bytes,
        "sha256": event.sha256,
        "details": event.details or None,
        "producer": event.producer,
        "sequence": event.sequence,
    }


def _print_checked(checked: "CheckedLog", *, as_json: bool) -> None:
    report = checked.report
    checkpoint = report.checkpoint
    shown: dict[str, Any] = {
        "intact": report.is_intact,
        "complete": report.is_complete if report.is_intact else None,
        "log": checkpoint.origin if checkpoint else None,
        "size": checkpoint.size if checkpoint else None,
        "root": checkpoint.root.hex() if checkpoint else None,
        "first_checked": report.first_index,
        "entries_checked": report.entries_checked,
        "entries_purged": checked.first_kept or None,
        "producers": len(report.numberings),
        "witnessed_at": _list_witnesses(report.witness_times),
    }
    findings = [
        {
            "kind": str(finding.kind),
            "about": "completeness" if finding.kind.is_about_completeness else "integrity",
            "place": finding.place,
            "first": finding.first,
            "last": finding.last,
            "explanation": finding.explanation,
        }
        for finding in report.findings
    ]
    if as_json:
        print_json({**shown, "findings": findings, "findings_left_out": report.findings_left_out})
        return
    print_fields(shown, as_json=False)
    if findings:
        rows = [
            (str(each["kind"]), str(each["about"]), str(each["place"]), _format_numbers(each), str(each["explanation"]))
            for each in findings
        ]
        print_table("Findings", ("finding", "about", "where", "entries or numbers", "what it says"), rows)
    if report.findings_left_out:
        typer.echo(f"and {report.findings_left_out} findings more")


def _format_numbers(finding: dict[str, Any]) -> str:
    if finding["first"] is None:
        return "-"
    return str(finding["first"]) if finding["last"] is None else f"{finding['first']}-{finding['last']}"


def _list_witnesses(times: Any) -> dict[str, str]:
    return {name: format_milliseconds(seconds * 1000) + "Z" for name, seconds in sorted(times.items())}
