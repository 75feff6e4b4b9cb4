"""The report as a workbook: summary with a chart, periods, breakdowns and, if requested, every payment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from .aggregation import Report, Tally
from .money import EXPONENTS
from .payments import Payment

_TALLY = ("Payments", "Failed", "Refunds", "Gross", "Refunded", "Net", "Average")
_COUNTS = 3
_Line = tuple[tuple[str, ...], Tally, str]
_DARK = "#1F3A5F"

ROWS_PER_SHEET = 1_000_000
"""Excel's own limit is 1,048,576 rows; further payments are on another sheet."""


def write(report: Report, path: Path, payments: Iterable[Payment] = ()) -> None:
    """Writes the file.

    Args:
        report: the numbers.
        path: of the file; an existing one is replaced.
        payments: records for a separate sheet, read once and row by row; None for no sheet.
    """
    # Rows are written to disk immediately, so a hundred thousand payments need little memory.
    with xlsxwriter.Workbook(str(path), {"constant_memory": True, "in_memory": False}) as book:
        # A fixed date in the properties: the same numbers give the same file.
        book.set_properties({"title": "Payments", "created": datetime(2024, 1, 1)})  # noqa: DTZ001 - Excel knows no zones
        styles = _Styles(book)
        _summary(book, styles, report)
        _table(book, styles, "Periods", [report.group_by], _lines(report.periods, report.currency))
        for name, tallies in report.breakdowns.items():
            _table(book, styles, f"By {name}", [name], _lines(tallies, report.currency))
        rows = (((period, currency), tally, currency) for (period, currency), tally in report.rows.items())
        _table(book, styles, "Periods and currencies", [report.group_by, "currency"], rows)
        _payments(book, styles, payments)


class _Styles:
    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._amounts: dict[int, Format] = {}
        self.title = book.add_format({"bold": True, "font_size": 16, "font_color": _DARK})
        self.head = book.add_format({"bold": True, "bg_color": _DARK, "font_color": "#FFFFFF", "border": 1})
        self.count = book.add_format({"num_format": "#,##0"})

    def amount(self, currency: str) -> Format:
        places = EXPONENTS[currency]
        if places not in self._amounts:
            self._amounts[places] = self._book.add_format({"num_format": "#,##0" + ("." + "0" * places) * bool(places)})
        return self._amounts[places]


def _summary(book: Workbook, styles: _Styles, report: Report) -> None:
    sheet = book.add_worksheet("Summary")
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 18)
    sheet.hide_gridlines(2)
    sheet.write(0, 0, "Payments", styles.title)
    sheet.write_row(1, 0, ["From", report.start or "no payments"])
    sheet.write_row(2, 0, ["To", report.end or "no payments"])
    sheet.write_row(3, 0, ["By", report.group_by])
    sheet.write_row(4, 0, ["Currency", report.currency])
    for row, (label, value, style) in enumerate(
        zip(_TALLY, *_values(report.total, report.currency, styles), strict=True)
    ):
        sheet.write(6 + row, 0, label)
        sheet.write_number(6 + row, 1, value, style)
    if report.periods:
        sheet.insert_chart("D2", _chart(book, report))


def _chart(book: Workbook, report: Report) -> Any:
    last = len(report.periods)
    chart: Any = book.add_chart({"type": "column", "subtype": "stacked"})
    for name, column, color in (("Net", 6, "#3B7DD8"), ("Refunded", 5, "#E0893B")):
        chart.add_series(
            {
                "name": name,
                "categories": ["Periods", 1, 0, last, 0],
                "values": ["Periods", 1, column, last, column],
                "fill": {"color": color},
                "gap": 40,
            }
        )
    chart.set_title({"name": f"Net and refunded by {report.group_by}, {report.currency}", "name_font": {"size": 12}})
    chart.set_legend({"position": "bottom"})
    chart.set_y_axis({"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": "#DDDDDD"}}})
    chart.set_size({"width": 860, "height": 400})
    return chart


def _lines(tallies: dict[str, Tally], currency: str) -> Iterable[_Line]:
    return (((key,), tally, currency) for key, tally in tallies.items())


def _table(book: Workbook, styles: _Styles, title: str, keys: Sequence[str], lines: Iterable[_Line]) -> None:
    sheet = _sheet(book, styles, title, [*(key.capitalize() for key in keys), *_TALLY])
    for row, (labels, tally, currency) in enumerate(lines, 1):
        for column, label in enumerate(labels):
            sheet.write_string(row, column, label)
        for column, (value, style) in enumerate(zip(*_values(tally, currency, styles), strict=True), len(labels)):
            sheet.write_number(row, column, value, style)


def _payments(book: Workbook, styles: _Styles, payments: Iterable[Payment]) -> None:
    heads = [name.replace("_", " ").capitalize() for name in Payment._fields]
    for number, payment in enumerate(payments):
        page, row = divmod(number, ROWS_PER_SHEET)
        if row == 0:
            sheet = _sheet(book, styles, f"Payments {page + 1}" if page else "Payments", heads)
            sheet.set_column(1, 2, 24)
        amount = styles.amount(payment.currency)
        scale = 10 ** EXPONENTS[payment.currency]
        for column, value in enumerate(payment):
            if isinstance(value, int):
                sheet.write_number(row + 1, column, value / scale, amount)
            else:
                sheet.write_string(row + 1, column, str(value))


def _sheet(book: Workbook, styles: _Styles, title: str, heads: Sequence[str]) -> Worksheet:
    sheet = book.add_worksheet(title)
    sheet.set_column(0, len(heads) - 1, 15)
    sheet.freeze_panes(1, 0)
    for column, head in enumerate(heads):
        sheet.write_string(0, column, head, styles.head)
    return sheet


def _values(tally: Tally, currency: str, styles: _Styles) -> tuple[list[float], list[Format]]:
    scale = 10 ** EXPONENTS[currency]
    amounts = [value / scale for value in (tally.gross, tally.refunded, tally.net, tally.average)]
    formats = [styles.count] * _COUNTS + [styles.amount(currency)] * len(amounts)
    return [tally.payments, tally.failed, tally.refunds, *amounts], formats
