"""The report as CSV: one line per period and currency."""

from __future__ import annotations

import csv
from pathlib import Path

from .aggregation import Report
from .money import format_amount

HEADER = ("period", "currency", "payments", "failed", "refunds", "gross", "refunded", "net", "average")


def write(report: Report, path: Path) -> None:
    """Writes the file: UTF-8, a header, amounts as plain decimals in the row's own currency."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(HEADER)
        for (period, currency), tally in report.rows.items():
            counts = (tally.payments, tally.failed, tally.refunds)
            amounts = (tally.gross, tally.refunded, tally.net, tally.average)
            lines.writerow((period, currency, *counts, *(format_amount(amount, currency) for amount in amounts)))
