"""A compliance report as a PDF document: the same as the page, for archives and mail.

The standard fonts of PDF have the letters of Western Europe. Other signs are written as U+XXXX; the page has them.
"""

import io
from datetime import timedelta
from html import escape
from typing import Any

from pqtransfer.audit.errors import MissingPackageError
from pqtransfer.audit.frameworks import TITLES
from pqtransfer.audit.rendering.cells import format_cell, is_right, split_code
from pqtransfer.audit.rendering.drawings import Box, Drawing, Rule, describe_chart, draw_chart
from pqtransfer.audit.rendering.statements import judge, list_answers, list_first_findings
from pqtransfer.audit.report_model import Cell, Column, ComplianceReport, Section, Table

MARGIN = 45.0
PAGE_WIDTH, PAGE_HEIGHT = 841.89, 595.28
"""A4, lying: tables of transfers are wide."""
TEXT_WIDTH = PAGE_WIDTH - 2 * MARGIN
COLORS = {"good": ("#14683a", "#e8f5ee"), "warning": ("#8a5300", "#fff5e0"), "bad": ("#a11616", "#fdeaea")}
BAR, MARK, SOFT, LINE, INK = "#4a86ad", "#c2410c", "#5a6675", "#d9dfe6", "#1b2430"
WEIGHTS = {"word": 1.15, "number": 0.9, "time": 1.45, "code": 2.9, "bytes": 1.5, "text": 1.8}


def render_pdf(report: ComplianceReport) -> bytes:
    """The document. The same report gives the same bytes.

    Raises:
        MissingPackageError: reportlab is not installed.
    """
    try:
        from reportlab.platypus import SimpleDocTemplate
    except ImportError:
        raise MissingPackageError("reportlab", "a report as PDF") from None
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=(PAGE_WIDTH, PAGE_HEIGHT),
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=40,
        bottomMargin=46,
        title=f"{TITLES[report.framework]}: {report.since:%Y-%m-%d} to {_last_day(report)}",
        author="pqtransfer",
        invariant=1,
        lang="en",
    )
    writer = _Writer(report)
    document.build(writer.write(), onFirstPage=writer.draw_foot, onLaterPages=writer.draw_foot)
    return out.getvalue()


class _Writer:
    """Puts a report together out of reportlab's parts."""

    def __init__(self, report: ComplianceReport) -> None:
        from reportlab.lib import colors
        from reportlab.lib.styles import ParagraphStyle

        def style(name: str, size: float, **more: Any) -> Any:
            more.setdefault("leading", size * 1.35)
            more.setdefault("textColor", colors.HexColor(INK))
            return ParagraphStyle(name, fontName=more.pop("fontName", "Helvetica"), fontSize=size, **more)

        self._report = report
        self._color = colors.HexColor
        self._title = style("title", 20, fontName="Helvetica-Bold", spaceAfter=2)
        self._kind = style("kind", 8, textColor=colors.HexColor(SOFT))
        self._heading = style("heading", 13, fontName="Helvetica-Bold", spaceBefore=16, spaceAfter=3, keepWithNext=1)
        self._caption = style("caption", 9.5, fontName="Helvetica-Bold", spaceBefore=9, spaceAfter=3, keepWithNext=1)
        self._text = style("text", 9, spaceAfter=4)
        self._soft = style("soft", 8, textColor=colors.HexColor(SOFT), spaceAfter=4)
        self._cell = style("cell", 7.2, leading=9)
        self._right = style("right", 7.2, leading=9, alignment=2)
        self._code = style("code", 6.2, leading=7.6, fontName="Courier", splitLongWords=1)
        self._head = style("head", 7.2, leading=9, fontName="Helvetica-Bold", textColor=colors.HexColor(SOFT))
        self._head_right = style("head-right", 7.2, leading=9, fontName="Helvetica-Bold", alignment=2)

    def write(self) -> list[Any]:
        """Everything, in its order."""
        report = self._report
        parts: list[Any] = [
            self._paragraph("COMPLIANCE REPORT OF THE AUDIT LOG", self._kind),
            self._paragraph(TITLES[report.framework], self._title),
            self._paragraph(
                f"{report.since:%Y-%m-%d} to {_last_day(report)} (UTC), {report.events:,} events", self._soft
            ),
            self._write_verdict(),
            *self._write_facts(),
        ]
        if not report.events:
            parts.append(self._paragraph("There are no events in this period.", self._text))
        for number, section in enumerate(report.sections, start=1):
            parts += self._write_section(number, section)
        parts += self._write_controls(len(report.sections) + 1)
        return [*parts, *self._write_signature()]

    def draw_foot(self, canvas: Any, document: Any) -> None:
        """The foot of a page: what it is of, and its number."""
        canvas.saveState()
        canvas.setFont("Helvetica", 7)
        canvas.setFillColor(self._color(SOFT))
        report = self._report
        period = f"{report.since:%Y-%m-%d} to {_last_day(report)}"
        foot = f"{TITLES[report.framework]}, {period}. {judge(report.integrity).title}."
        canvas.drawString(MARGIN, 26, foot)
        canvas.drawRightString(PAGE_WIDTH - MARGIN, 26, f"page {document.page}")
        canvas.restoreState()

    def _write_verdict(self) -> Any:
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import Table

        verdict = judge(self._report.integrity)
        ink, tint = map(self._color, COLORS[verdict.level])
        size = 19 if verdict.level == "bad" else 13
        title = ParagraphStyle("verdict", fontName="Helvetica-Bold", fontSize=size, leading=size * 1.3, textColor=ink)
        texts = [verdict.text, *list_first_findings(self._report.integrity)]
        rows = [[self._paragraph(verdict.title, title)], *([self._paragraph(text, self._text)] for text in texts)]
        box = Table(rows, colWidths=[TEXT_WIDTH])
        box.setStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), tint),
                ("BOX", (0, 0), (-1, -1), 0.7, ink),
                ("LINEBEFORE", (0, 0), (0, -1), 7, ink),
                ("LEFTPADDING", (0, 0), (-1, -1), 14),
                ("TOPPADDING", (0, 0), (-1, 0), 8),
                ("BOTTOMPADDING", (0, -1), (-1, -1), 8),
            ]
        )
        return box

    def _write_facts(self) -> list[Any]:
        from reportlab.platypus import Spacer

        integrity = self._report.integrity
        witnesses = ", ".join(f"{name} {time:%Y-%m-%d %H:%M:%S}" for name, time in integrity.witnesses.items())
        size = "unknown" if integrity.size is None else f"{integrity.size:,}"
        counts = f"{size}; {integrity.entries_checked:,}; {integrity.entries_purged:,}"
        facts = (
            ("Log", integrity.log or "unknown"),
            ("Entries in the log; verified; purged by retention rules", counts),
            ("Checkpoint verified against: root hash (SHA-256)", integrity.root_sha256 or "none"),
            ("Witnessed (UTC)", witnesses or "by nobody"),
            ("Report made (UTC)", f"{self._report.made_at:%Y-%m-%d %H:%M:%S}"),
        )  # fmt: skip
        rows = [[self._paragraph(name, self._soft), self._paragraph(value, self._cell)] for name, value in facts]
        return [Spacer(1, 8), self._make_table(rows, [TEXT_WIDTH * 0.35, TEXT_WIDTH * 0.65], has_head=False)]

    def _write_section(self, number: int, section: Section) -> list[Any]:
        parts: list[Any] = [self._paragraph(f"{number}. {section.title}", self._heading)]
        answers = list_answers(self._report, section.key)
        if answers:
            parts.append(self._paragraph(f"Evidence for: {answers}.", self._soft))
        parts += [self._paragraph(text, self._text) for text in section.paragraphs]
        for chart in section.charts:
            parts += [self._paragraph(chart.title, self._caption), self._draw(draw_chart(chart))]
            parts.append(self._paragraph(describe_chart(chart), self._soft))
        for table in section.tables:
            parts += self._write_table(table)
        return parts

    def _write_table(self, table: Table) -> list[Any]:
        parts: list[Any] = [self._paragraph(table.title, self._caption)]
        if not table.rows:
            return [*parts, self._paragraph(table.empty, self._soft)]
        head = [
            self._paragraph(each.title, self._head_right if is_right(each) else self._head) for each in table.columns
        ]
        rows = [
            [self._write_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)]
            for row in table.rows
        ]
        weights = [WEIGHTS[column.style] for column in table.columns]
        parts.append(self._make_table([head, *rows], [TEXT_WIDTH * weight / sum(weights) for weight in weights]))
        if table.left_out:
            parts.append(self._paragraph(f"And {table.left_out:,} more, which this report does not list.", self._soft))
        return parts

    def _write_controls(self, number: int) -> list[Any]:
        report = self._report
        head = [
            self._paragraph(text, self._head)
            for text in ("Control", "What it asks for", "Evidence", "What the log cannot show")
        ]
        rows = [
            [
                self._paragraph(control.reference, self._cell),
                self._paragraph(control.title, self._cell),
                self._paragraph(", ".join(report.find_section(key).title for key in control.sections), self._cell),
                self._paragraph(control.note or "-", self._cell),
            ]
            for control in report.controls
        ]  # fmt: skip
        says = (
            "For each control, the sections that have evidence for it. That a control is listed does not say that it "
            "is met: that is for whoever assesses it."
        )
        widths = [TEXT_WIDTH * share for share in (0.2, 0.34, 0.2, 0.26)]
        return [
            self._paragraph(f"{number}. Controls", self._heading),
            self._paragraph(says, self._text),
            self._make_table([head, *rows], widths),
        ]

    def _write_signature(self) -> list[Any]:
        from reportlab.platypus import KeepTogether, Spacer, Table

        lines = Table(
            [["Reviewed by (name, signature)", "", "Date"]],
            colWidths=[TEXT_WIDTH * 0.55, 30, TEXT_WIDTH * 0.25],
            hAlign="LEFT",
        )
        lines.setStyle(
            [
                ("LINEABOVE", (0, 0), (0, 0), 0.7, self._color(INK)),
                ("LINEABOVE", (2, 0), (2, 0), 0.7, self._color(INK)),
                ("FONTSIZE", (0, 0), (-1, -1), 7),
                ("TEXTCOLOR", (0, 0), (-1, -1), self._color(SOFT)),
            ]
        )
        return [KeepTogether([Spacer(1, 50), lines])]

    def _make_table(self, rows: list[list[Any]], widths: list[float], *, has_head: bool = True) -> Any:
        from reportlab.platypus import LongTable

        table = LongTable(rows, colWidths=widths, repeatRows=1 if has_head else 0, hAlign="LEFT")
        style: list[Any] = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, self._color(LINE)),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 7),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ]
        if has_head:
            style.append(("LINEBELOW", (0, 0), (-1, 0), 0.7, self._color(SOFT)))
        table.setStyle(style)
        return table

    def _write_cell(self, cell: Cell, column: Column) -> Any:
        text = format_cell(cell, column)
        if column.style == "code" and cell:
            return self._paragraph("\n".join(split_code(text)), self._code)
        return self._paragraph(text, self._right if is_right(column) else self._cell)

    def _draw(self, drawing: Drawing) -> Any:
        """The same shapes as on the page; PDF counts from below."""
        from reportlab.graphics import shapes

        canvas = shapes.Drawing(drawing.width, drawing.height)
        for each in drawing.shapes:
            if isinstance(each, Box):
                color = self._color(MARK if each.is_marked else BAR)
                y = drawing.height - each.y - each.height
                canvas.add(
                    shapes.Rect(each.x, y, each.width, each.height, fillColor=color, strokeWidth=0, strokeColor=None)
                )
            elif isinstance(each, Rule):
                y, color = drawing.height - each.y, self._color(SOFT if each.is_base else LINE)
                canvas.add(shapes.Line(each.x, y, each.x + each.length, y, strokeColor=color, strokeWidth=0.5))
            else:
                color = self._color(INK if each.is_value else SOFT)
                text = shapes.String(each.x, drawing.height - each.y, _to_latin(each.text), textAnchor=each.anchor)
                text.fontName, text.fontSize, text.fillColor = "Helvetica", 8, color
                canvas.add(text)
        return canvas

    def _paragraph(self, text: str, style: Any) -> Any:
        from reportlab.platypus import Paragraph

        return Paragraph(escape(_to_latin(text)).replace("\n", "<br/>"), style)


def _to_latin(text: str) -> str:
    """With what the fonts do not have, and what would move the pen, written as its number."""
    return "".join(
        sign if sign == "\n" or (sign.isprintable() and _has_glyph(sign)) else f"U+{ord(sign):04X}" for sign in text
    )


def _has_glyph(sign: str) -> bool:
    try:
        sign.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _last_day(report: ComplianceReport) -> str:
    return f"{report.until - timedelta(microseconds=1):%Y-%m-%d}"
