"""A compliance report as one page that needs nothing else: styles and charts are in it, and no script is."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from pqtransfer.audit.errors import MissingPackageError
from pqtransfer.audit.frameworks import TITLES
from pqtransfer.audit.rendering.cells import format_cell, is_right, split_code
from pqtransfer.audit.rendering.drawings import Box, Rule, Words, describe_chart, draw_chart
from pqtransfer.audit.rendering.statements import judge, list_answers, list_first_findings
from pqtransfer.audit.report_model import Chart, ComplianceReport

TEMPLATE = "report.html.j2"


def render_html(report: ComplianceReport) -> str:
    """The page. Every text of the log is escaped.

    Raises:
        MissingPackageError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingPackageError("jinja2", "a report as HTML") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code_lines"] = split_code
    values: dict[str, Any] = {
        "report": report,
        "verdict": judge(report.integrity),
        "framework_title": TITLES[report.framework],
        "format_cell": format_cell,
        "is_right": is_right,
        "draw": _list_shapes,
        "describe_chart": describe_chart,
        "answers_of": lambda key: list_answers(report, key),
        "first_findings": list_first_findings(report.integrity),
        "last_day": last_day(report),
    }
    return environment.get_template(TEMPLATE).render(values)


def last_day(report: ComplianceReport) -> str:
    """The last day that is in the report."""
    return f"{report.until - timedelta(microseconds=1):%Y-%m-%d}"


def _list_shapes(chart: Chart) -> dict[str, Any]:
    """A drawing for the template: it knows no classes."""
    drawing = draw_chart(chart)
    return {
        "width": drawing.width,
        "height": drawing.height,
        "boxes": [each for each in drawing.shapes if isinstance(each, Box)],
        "rules": [each for each in drawing.shapes if isinstance(each, Rule)],
        "words": [each for each in drawing.shapes if isinstance(each, Words)],
    }
