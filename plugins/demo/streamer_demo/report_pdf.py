"""The report as a PDF: key figures, charts, and the tables behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from . import report_charts
from .aggregation import Report, Tally
from .money import format_amount

_DARK = HexColor("#1F3A5F")
_MUTED = HexColor("#6B7A8A")
_BAND = HexColor("#F4F7FA")
_MARGIN = 18 * mm
_PADDING = 6
"""The margin of the document on each side."""
_WIDTH = A4[0] - 2 * _MARGIN - 2 * _PADDING
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=20, leading=24, textColor=_DARK)
_SUBTITLE = ParagraphStyle("subtitle", fontName="Helvetica", fontSize=9.5, leading=14, textColor=_MUTED)
_HEADING = ParagraphStyle(
    "heading", fontName="Helvetica-Bold", fontSize=11, leading=14, textColor=_DARK, spaceBefore=12, spaceAfter=5
)
_FIGURE = ParagraphStyle("figure", fontName="Helvetica-Bold", fontSize=13, leading=17, textColor=_DARK)
_CAPTION = ParagraphStyle("caption", fontName="Helvetica", fontSize=7.5, leading=10, textColor=_MUTED)
_TALLY = ("Payments", "Failed", "Refunds", "Gross", "Refunded", "Net", "Average")


def write(report: Report, path: Path) -> None:
    """Writes the file; an existing one is replaced."""
    # `invariant`: no time and no random id, so that the same numbers give the same file.
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title="Payments",
        author="streamer-demo",
        invariant=1,
    )
    document.build(_story(report), onFirstPage=_footer, onLaterPages=_footer)


def _story(report: Report) -> list[Flowable]:
    story: list[Flowable] = [
        Paragraph("Payments", _TITLE),
        Paragraph(_what(report), _SUBTITLE),
        Spacer(0, 5 * mm),
        _key_figures(report),
        Paragraph(f"By {report.group_by}", _HEADING),
    ]
    if not report.periods:
        return [*story, report_charts.nothing("No payments in this period.", _WIDTH, 60 * mm)]
    story.append(report_charts.over_time(report.periods, report.currency, _WIDTH, 72 * mm))
    for name in ("method", "country"):
        tallies = report.breakdowns[name]
        height = 10 + 16 * len(tallies)
        story += [
            CondPageBreak(height + 12 * mm),
            Paragraph(f"Gross by {name}", _HEADING),
            report_charts.shares(tallies, report.currency, _WIDTH, height),
        ]
    for name in ("currency", "method", "country", "status"):
        story += _section(f"By {name}, in {report.currency}", name, report.breakdowns[name], report.currency)
    if _converted(report):
        own = [(currency, *_cells(tally, currency)) for currency, tally in report.native.items()]
        story += _section_of("By currency, each in its own", "currency", own)
    return story + _section(
        f"By {report.group_by}, in {report.currency}", report.group_by, report.periods, report.currency
    )


def _converted(report: Report) -> bool:
    return any(currency != report.currency for currency in report.native)


def _what(report: Report) -> str:
    span = f"{report.start} to {report.end}" if report.periods else "no payments"
    rates = ", converted at fixed reference rates" if _converted(report) else ""
    return f"{span} · by {report.group_by} · amounts in {report.currency}{rates}"


def _key_figures(report: Report) -> Table:
    total, currency = report.total, report.currency
    failing = total.failed / total.payments if total.payments else 0.0
    figures = (
        (f"{total.payments:,}", "payments"),
        (_amount(total.gross, currency), f"gross, {currency}"),
        (_amount(total.net, currency), f"net, {currency}"),
        (_amount(total.average, currency), f"average, {currency}"),
        (f"{failing:.1%}", "failed"),
    )
    table = Table(
        [
            [Paragraph(figure, _FIGURE) for figure, _ in figures],
            [Paragraph(caption, _CAPTION) for _, caption in figures],
        ],
        colWidths=[_WIDTH * share for share in (0.17, 0.25, 0.25, 0.18, 0.15)],
    )
    table.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, -1), _BAND), ("LEFTPADDING", (0, 0), (-1, -1), 8)]))
    return table


def _section(title: str, head: str, tallies: dict[str, Tally], currency: str) -> list[Flowable]:
    return _section_of(
        title, head, [(key.replace("_", " "), *_cells(tally, currency)) for key, tally in tallies.items()]
    )


def _section_of(title: str, head: str, body: list[tuple[str, ...]]) -> list[Flowable]:
    return [CondPageBreak(40 * mm), Paragraph(title, _HEADING), _table([(head.capitalize(), *_TALLY), *body])]


def _table(cells: Sequence[tuple[str, ...]]) -> Table:
    table = Table(
        cells, colWidths=[_WIDTH * share for share in (0.18, 0.1, 0.08, 0.09, 0.16, 0.14, 0.16, 0.09)], repeatRows=1
    )
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 7.5),
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 7.5),
                ("BACKGROUND", (0, 0), (-1, 0), _DARK),
                ("TEXTCOLOR", (0, 0), (-1, 0), white),
                ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, _BAND]),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        )
    )
    return table


def _cells(tally: Tally, currency: str) -> tuple[str, ...]:
    counts = (tally.payments, tally.failed, tally.refunds)
    amounts = (tally.gross, tally.refunded, tally.net, tally.average)
    return (*(f"{count:,}" for count in counts), *(_amount(amount, currency) for amount in amounts))


def _amount(minor: int, currency: str) -> str:
    return format_amount(minor, currency, thousands=",")


def _footer(canvas: Any, document: Any) -> None:
    canvas.saveState()
    canvas.setFont("Helvetica", 7.5)
    canvas.setFillColor(_MUTED)
    canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, f"Page {document.page}")
    canvas.restoreState()
