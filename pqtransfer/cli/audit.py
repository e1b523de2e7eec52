"""`pqtransfer audit`: everything that reads the audit log."""

import typer

from pqtransfer.cli import audit_checks, audit_events, audit_holds, audit_reports, audit_retention

app = typer.Typer(name="audit", help="Check, read, export and report the audit log.", no_args_is_help=True)
app.add_typer(audit_checks.app)
app.add_typer(audit_events.app)
app.add_typer(audit_reports.app)
app.add_typer(audit_retention.app)
app.add_typer(audit_holds.app)
