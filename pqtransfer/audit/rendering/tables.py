"""A compliance report as JSON, and as CSV tables, one for each table of the report."""

import csv
import io
from collections.abc import Iterable, Sequence

from pqtransfer.audit.report_model import Cell, ComplianceReport, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_json(report: ComplianceReport) -> bytes:
    """The whole report, indented."""
    return report.model_dump_json(indent=2).encode() + b"\n"


def render_csv(report: ComplianceReport) -> dict[str, bytes]:
    """The tables by file name (RFC 4180, UTF-8). A text that a spreadsheet would take for a formula gets a quote."""
    integrity = report.integrity
    summary: list[tuple[str, Cell]] = [
        ("framework", str(report.framework)),
        ("since", report.since.isoformat()),
        ("until", report.until.isoformat()),
        ("made_at", report.made_at.isoformat()),
        ("events", report.events),
        ("log_verified", integrity.verified),
        ("log_intact", integrity.intact),
        ("log_complete", integrity.complete),
        ("log", integrity.log),
        ("log_size", integrity.size),
        ("log_root_sha256", integrity.root_sha256),
        ("entries_checked", integrity.entries_checked),
        ("entries_purged", integrity.entries_purged),
    ]
    files = {"summary.csv": _write(("name", "value"), summary)}
    files["controls.csv"] = _write(
        ("framework", "reference", "title", "evidence", "note"),
        [
            (str(each.framework), each.reference, each.title, " ".join(each.sections), each.note)
            for each in report.controls
        ],
    )
    for section in report.sections:
        for table in section.tables:
            files[f"{table.name}.csv"] = _write_table(table)
    return files


def _write_table(table: Table) -> bytes:
    return _write([column.name for column in table.columns], table.rows)


def _write(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([_guard(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def _guard(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return "" if cell is None else cell
