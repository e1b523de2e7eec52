"""Compliance reports of an audit log, as files: a page, a document, data, or tables."""

from pathlib import Path

from pqtransfer.audit.rendering.html import render_html
from pqtransfer.audit.rendering.pdf import render_pdf
from pqtransfer.audit.rendering.tables import render_csv, render_json
from pqtransfer.audit.report_model import ComplianceReport
from pqtransfer.errors import InputError
from pqtransfer.sdk.local_errors import explain_os_errors
from pqtransfer.sdk.small_files import replace_file

REPORT_FORMATS = ("html", "pdf", "json", "csv")


class UnknownReportFormatError(InputError):
    """There is no such format."""

    def __init__(self, form: str) -> None:
        super().__init__(f"{form[:40]!r} is no format of a report; choose one of {', '.join(REPORT_FORMATS)}")


def require_report_format(form: str) -> None:
    """
    Raises:
        UnknownReportFormatError: it is none.
    """
    if form not in REPORT_FORMATS:
        raise UnknownReportFormatError(form)


def write_report(report: ComplianceReport, *, form: str, out: Path) -> None:
    """Write a report; `out` is a file, for `csv` a directory of tables. What was there before is replaced.

    Raises:
        UnknownReportFormatError: there is no such format.
        MissingPackageError: what it takes is not installed.
        ObjectMissingError, PathDeniedError, DiskFullError: it cannot be written.
    """
    require_report_format(form)
    if form == "csv":
        tables = render_csv(report)
        with explain_os_errors(out):
            out.mkdir(exist_ok=True)
        for name, data in tables.items():
            replace_file(out / name, data)
        return
    replace_file(out, render_report(report, form=form))


def render_report(report: ComplianceReport, *, form: str) -> bytes:
    """A report as one file.

    Raises:
        UnknownReportFormatError, MissingPackageError: it cannot be made.
    """
    if form == "html":
        return render_html(report).encode()
    if form == "pdf":
        return render_pdf(report)
    if form == "json":
        return render_json(report)
    raise UnknownReportFormatError(form)
