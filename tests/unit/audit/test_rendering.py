"""A report reads the same as a page, a document and tables; nothing that a stranger chose is markup or a formula."""

import csv
import io
import json
import re
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pqtransfer.audit.errors import MissingPackageError
from pqtransfer.audit.events import EventKind, Severity, Target
from pqtransfer.audit.rendering.cells import format_cell, format_size
from pqtransfer.audit.rendering.drawings import Box, Words, describe_chart, draw_chart
from pqtransfer.audit.rendering.html import render_html
from pqtransfer.audit.rendering.pdf import render_pdf
from pqtransfer.audit.rendering.tables import render_csv, render_json
from pqtransfer.audit.report_model import Chart, Column, ComplianceReport, Framework
from pqtransfer.audit.reporting import make_report
from pqtransfer.sdk.audit_directory import DirectoryLog
from tests.unit.audit.keys import POLICY
from tests.unit.audit.log_directories import write_log
from tests.unit.audit.months import BEGIN, END, make_month
from tests.unit.audit.pdf_text import read_pages
from tests.unit.audit.samples import make_event

NOW = datetime(2026, 4, 1, 3, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script>"&\'=HYPERLINK("x")'


class Page(HTMLParser):
    """What a page consists of: its elements, and where its attributes lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.ids, self.text = list[str](), list[str](), list[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            assert not name.startswith("on"), "an event handler"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("month"), make_month())


@pytest.fixture(scope="module")
def report(directory: Path) -> ComplianceReport:
    return make(directory)


def make(directory: Path, framework: Framework = Framework.ALL) -> ComplianceReport:
    return make_report(DirectoryLog(directory), POLICY, framework=framework, since=BEGIN, until=END, now=NOW)


@pytest.mark.requirement("D7.4")
def test_the_page_is_one_file_that_needs_nothing_else(report: ComplianceReport) -> None:
    """No script, no address, no font, no image; every link leads to a place within it."""
    text = render_html(report)
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert all(link.startswith("#") for link in page.links)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "@media print" in text
    assert "prefers-color-scheme: dark" in text


@pytest.mark.requirement("D7.4", "N13")
def test_the_page_has_everything_that_the_report_has(report: ComplianceReport) -> None:
    """Every control, every title, every cell, the checkpoint; tables have captions and heads for screen readers."""
    text = render_html(report)
    page = Page(text)
    flat = re.sub(r"\s+", " ", page.text)
    for control in report.controls:
        assert control.reference in flat
    for section in report.sections:
        assert section.title in flat
        for table in section.tables:
            assert table.title in flat
            for row in table.rows:
                for cell, column in zip(row, table.columns, strict=True):
                    assert re.sub(r"\s+", " ", format_cell(cell, column)) in flat
    assert report.integrity.root_sha256
    assert report.integrity.root_sha256 in flat
    assert page.tags.count("caption") == page.tags.count("table")
    assert text.count('scope="col"') > 30
    assert page.tags.count("svg") == text.count('role="img"') == sum(len(section.charts) for section in report.sections)


def test_what_a_stranger_chose_is_text(tmp_path: Path) -> None:
    """A name that is markup, in every field that a stranger can fill."""
    events = [
        make_event(
            kind, sequence=number, actor=HOSTILE, reason=HOSTILE, target=Target(type="key", id=HOSTILE),
            succeeded=False, severity=Severity.HIGH, time_ms=int(BEGIN.timestamp() * 1000) + number,
            details={"recipients": HOSTILE},
        )
        for number, kind in enumerate(EventKind, start=1)
    ]  # fmt: skip
    report = make(write_log(tmp_path, events))
    text = render_html(report)
    assert "<script" not in text
    assert "script" not in Page(text).tags
    assert HOSTILE in Page(text).text
    assert render_pdf(report).startswith(b"%PDF-")
    for data in render_csv(report).values():
        for row in csv.reader(io.StringIO(data.decode())):
            assert not any(cell.startswith(("=", "+", "@")) for cell in row)


def test_a_formula_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    event = make_event(actor='=HYPERLINK("http://x")', time_ms=int(BEGIN.timestamp() * 1000))
    tables = render_csv(make(write_log(tmp_path, [event])))
    assert "\"'=HYPERLINK" in tables["access_by_actor.csv"].decode()


@pytest.mark.requirement("D7.4", "D7.5")
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("entry", "This log is not intact"),
        ("checkpoint", "This log could not be verified"),
        ("gap", "but events are missing"),
    ],
)
def test_what_is_wrong_with_the_log_stands_first(tmp_path: Path, damage: str, says: str) -> None:
    """Before any figure: in the page, and on the first page of the document; with the findings by name."""
    month = make_month()[:300]
    directory = write_log(tmp_path, month if damage != "gap" else [month[0], *month[5:]])
    if damage == "entry":
        bundle = directory / "tile/entries/000"
        bundle.write_bytes(bundle.read_bytes().replace(b"hospital-a", b"hospital-x", 1))
    if damage == "checkpoint":
        (directory / "checkpoint").unlink()
    report = make(directory)
    page = Page(render_html(report))
    first = page.text[: page.text.index("Contents")]
    assert says in first
    assert report.integrity.findings[0].kind in first
    document = read_pages(render_pdf(report))
    assert says in document[0]
    assert report.integrity.findings[0].kind in document[0]


@pytest.mark.requirement("D7.4")
def test_the_document_says_what_the_report_says(report: ComplianceReport) -> None:
    """Pages of text that can be searched; the same report is the same bytes."""
    data = render_pdf(report)
    assert render_pdf(report) == data
    flat = re.sub(r"\s+", " ", " ".join(read_pages(data)))
    for section in report.sections:
        assert section.title in flat
    for control in report.controls:
        assert control.reference[:24] in flat
    assert "The log is intact and complete" in flat


@pytest.mark.requirement("D7.4")
def test_tables_and_data_have_every_row(report: ComplianceReport) -> None:
    """JSON is the report; CSV has a file for each table, with as many rows."""
    assert ComplianceReport.model_validate(json.loads(render_json(report))) == report
    tables = render_csv(report)
    for section in report.sections:
        for table in section.tables:
            read = list(csv.reader(io.StringIO(tables[f"{table.name}.csv"].decode())))
            assert read[0] == [column.name for column in table.columns]
            assert len(read) == len(table.rows) + 1
    assert ["log_intact", "True"] in list(csv.reader(io.StringIO(tables["summary.csv"].decode())))
    assert len(tables["controls.csv"].splitlines()) == len(report.controls) + 1


def test_a_missing_package_says_how_to_install_it(report: ComplianceReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'pqtransfer\[reports\]'"):
        render_html(report)
    monkeypatch.setitem(sys.modules, "reportlab.platypus", None)
    with pytest.raises(MissingPackageError, match="reportlab"):
        render_pdf(report)


@pytest.mark.parametrize("horizontal", [True, False])
@pytest.mark.parametrize("values", [(), (0,), (1,), (3, 0, 7), tuple(range(100)), (10**9,)])
def test_a_chart_stays_within_its_frame(values: tuple[int, ...], horizontal: bool) -> None:
    """Every bar has its length by its value, and every text stands inside."""
    labels = tuple(f"label {at}" for at in range(len(values)))
    chart = Chart(title="t", unit="events", labels=labels, values=values, horizontal=horizontal)
    drawing = draw_chart(chart)
    boxes = [each for each in drawing.shapes if isinstance(each, Box)]
    for each in boxes:
        assert -0.01 <= each.x <= each.x + each.width <= drawing.width + 0.01
        assert -0.01 <= each.y <= each.y + each.height <= drawing.height
    for words in drawing.shapes:
        assert not isinstance(words, Words) or 0 <= words.y <= drawing.height
    if len(values) > 1:
        lengths = [each.width if horizontal else each.height for each in boxes]
        shown = [value for value in values if value or horizontal]
        assert max(lengths) == lengths[shown.index(max(shown))]
    assert describe_chart(chart).startswith("t:")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB (1,500)"), (20_000_000_000, "20.0 GB (20,000,000,000)")],
)
def test_a_size_reads_well_and_is_exact(size: int, text: str) -> None:
    assert format_size(size) == text
    assert format_cell(size, Column(name="n", title="n", style="bytes")) == text
