"""Reports of payments: reads, aggregates, and writes CSV, a workbook and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from streamer import Error, ProgressReporter, Request

from .aggregation import Aggregator, Report
from .files import remove_unfinished, request_folder, whole_file
from .generator import ensure_payments
from .money import format_amount
from .payments import Payment, PaymentReader

FORMATS: Final = ("csv", "xlsx", "pdf")
# The approximate cost of each step, for the progress bar.
_READ: Final = 10
_STEPS: Final = {"csv": 1, "xlsx": 30, "pdf": 6}
_EVERY: Final = 2_000


class _Bar:
    """One progress bar for steps of different weight."""

    def __init__(self, progress: ProgressReporter, total: float) -> None:
        self._progress = progress
        self._total = total
        self._done = 0.0

    def show(self, part: float, message: str, **metadata: Any) -> None:
        """`part` of the current step's weight is done."""
        self._progress.report(100 * (self._done + part) / self._total, message, **metadata)

    def finish(self, weight: float) -> None:
        self._done += weight


def generate_report(request: Request, *, data_dir: Path, output_dir: Path, records: int) -> dict[str, Any]:
    """Aggregates payments by period and writes the report as CSV, XLSX and PDF.

    Args:
        request: its payload selects the payments, the grouping and the files.
        data_dir: the folder of the payments, which are generated if they do not exist.
        output_dir: the parent of a folder for each request. A repeated run replaces its own files.
        records: how many payments to generate if there are none.
    """
    wish = request.payload or {}
    first, last = wish.get("start_date"), wish.get("end_date")
    if first and last and first > last:
        wrong = {"path": "/end_date", "message": f"{last} is before start_date {first}"}
        raise Error("VALIDATION_ERROR", "end_date is before start_date", {"errors": [wrong]})
    formats = [name for name in FORMATS if name in wish.get("formats", FORMATS)]
    bar = _Bar(request.progress, _READ + sum(_STEPS[name] for name in formats))

    bar.show(0, "Looking for the payments")
    source = ensure_payments(data_dir, records)
    aggregator = Aggregator(wish.get("group_by", "month"), currency=wish.get("currency"), first=first, last=last)
    for payment in _watched(PaymentReader(source), aggregator.wants, bar, _READ, "Reading payments"):
        aggregator.add(payment)
    bar.finish(_READ)
    report = aggregator.report()

    folder = request_folder(output_dir, request)
    if request.attempt > 1:
        remove_unfinished(folder)
    files = {}
    for name in formats:
        weight = _STEPS[name]
        bar.show(0, f"Writing {name.upper()}", records=report.total.payments)
        chosen: Iterator[Payment] = iter(())
        if wish.get("include_payments", True):
            chosen = _watched(PaymentReader(source), aggregator.wants, bar, weight, "Writing XLSX: payments")
        path = folder / f"payments-by-{report.group_by}.{name}"
        with whole_file(path) as temporary:
            _write(name, report, temporary, chosen)
        files[name] = str(path)
        bar.finish(weight)
    request.progress.report(100, "Report written")
    return _result(report, files)


def _watched(
    reader: PaymentReader, wanted: Callable[[Payment], bool], bar: _Bar, weight: float, message: str
) -> Iterator[Payment]:
    taken = 0
    for number, payment in enumerate(reader, 1):
        if number % _EVERY == 0:
            bar.show(weight * reader.fraction, message, records=number)
        if wanted(payment):
            taken += 1
            yield payment


def _write(name: str, report: Report, path: Path, payments: Iterator[Payment]) -> None:
    # The libraries are imported by the process that writes, not by everything that lists the plugin.
    if name == "csv":
        from . import report_csv  # noqa: PLC0415 - as said above

        report_csv.write(report, path)
    elif name == "xlsx":
        from . import report_xlsx  # noqa: PLC0415 - as said above

        report_xlsx.write(report, path, payments)
    else:
        from . import report_pdf  # noqa: PLC0415 - as said above

        report_pdf.write(report, path)


def _result(report: Report, files: dict[str, str]) -> dict[str, Any]:
    total, currency = report.total, report.currency
    amounts = {"gross": total.gross, "refunded": total.refunded, "net": total.net, "average": total.average}
    return {
        "files": files,
        "records": total.payments,
        "rows": len(report.rows),
        "totals": {
            "currency": currency,
            "payments": total.payments,
            "failed": total.failed,
            "refunds": total.refunds,
            **{name: format_amount(amount, currency) for name, amount in amounts.items()},
        },
        "period": {
            "group_by": report.group_by,
            "start": report.start or None,
            "end": report.end or None,
            "count": len(report.periods),
        },
    }
