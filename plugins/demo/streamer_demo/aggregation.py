"""Aggregates payments into the numbers of a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

from .money import REPORTING_CURRENCY, to_cents
from .payments import Payment


@dataclass(slots=True)
class Tally:
    """Counts and sums of payments. Amounts are minor units of one currency; failed payments moved no money."""

    payments: int = 0
    failed: int = 0
    refunds: int = 0
    gross: int = 0
    refunded: int = 0

    def add(self, other: Tally) -> None:
        """Adds the payments of another tally."""
        self.payments += other.payments
        self.failed += other.failed
        self.refunds += other.refunds
        self.gross += other.gross
        self.refunded += other.refunded

    @property
    def net(self) -> int:
        """The amount that was not refunded."""
        return self.gross - self.refunded

    @property
    def average(self) -> int:
        """Per payment that did not fail, half a unit rounded up; 0 when there is none."""
        paid = self.payments - self.failed
        return (2 * self.gross + paid) // (2 * paid) if paid else 0


@dataclass(slots=True)
class Report:
    """The numbers of a report. Amounts are in `currency`, except those of `rows` and `native`."""

    group_by: str
    currency: str
    start: str = ""
    """The first day with a payment; empty without payments."""
    end: str = ""
    total: Tally = field(default_factory=Tally)
    periods: dict[str, Tally] = field(default_factory=dict)
    """Every period from the first to the last, in order, including those without payments."""
    breakdowns: dict[str, dict[str, Tally]] = field(default_factory=dict)
    """By `currency`, `method`, `country` and `status`; the largest gross first."""
    rows: dict[tuple[str, str], Tally] = field(default_factory=dict)
    """By period and currency, in that currency, in order."""
    native: dict[str, Tally] = field(default_factory=dict)
    """By currency, in that currency."""


class Aggregator:
    """Collects payments one at a time, and creates a report.

    Args:
        group_by: `day`, `week` (ISO 8601) or `month`.
        currency: include only payments in this currency, and report in it; None includes all and reports in euros.
        first: the first day, as `2024-03-01`; None for no limit.
        last: the last day.
    """

    def __init__(
        self, group_by: str, *, currency: str | None = None, first: str | None = None, last: str | None = None
    ) -> None:
        self._group_by = group_by
        self._currency = currency
        self._first = first or ""
        self._last = last or "9999-12-31"
        self._cells: dict[tuple[str, ...], tuple[Tally, Tally]] = {}

    def wants(self, payment: Payment) -> bool:
        """Whether the report includes the payment."""
        return self._first <= payment.day <= self._last and self._currency in (None, payment.currency)

    def add(self, payment: Payment) -> None:
        """Adds a payment that the report includes."""
        key = (payment.day, payment.currency, payment.method, payment.country, payment.status)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = (Tally(), Tally())
        native, reported = cell
        native.payments += 1
        reported.payments += 1
        if payment.status == "failed":
            native.failed += 1
            reported.failed += 1
            return
        convert = self._currency is None and payment.currency != REPORTING_CURRENCY
        native.gross += payment.amount
        # Each payment is converted separately, so that every table of the report has the same total.
        reported.gross += to_cents(payment.amount, payment.currency) if convert else payment.amount
        if payment.refunded:
            native.refunds += 1
            reported.refunds += 1
            native.refunded += payment.refunded
            reported.refunded += to_cents(payment.refunded, payment.currency) if convert else payment.refunded

    def report(self) -> Report:
        """The numbers of all added payments."""
        report = Report(self._group_by, self._currency or REPORTING_CURRENCY)
        by: dict[str, dict[str, Tally]] = {"currency": {}, "method": {}, "country": {}, "status": {}}
        days = [key[0] for key in self._cells]
        if days:
            report.start, report.end = min(days), max(days)
            report.periods = {period: Tally() for period in periods(report.start, report.end, self._group_by)}
        for (day, currency, method, country, status), (native, reported) in self._cells.items():
            period = period_of(day, self._group_by)
            report.total.add(reported)
            report.periods[period].add(reported)
            for name, value in (("currency", currency), ("method", method), ("country", country), ("status", status)):
                by[name].setdefault(value, Tally()).add(reported)
            report.rows.setdefault((period, currency), Tally()).add(native)
            report.native.setdefault(currency, Tally()).add(native)
        report.rows = dict(sorted(report.rows.items()))
        report.breakdowns = {name: _largest_first(tallies) for name, tallies in by.items()}
        return report


@lru_cache(maxsize=4096)
def period_of(day: str, group_by: str) -> str:
    """`2024-03-01`, `2024-W09` or `2024-03`."""
    if group_by == "month":
        return day[:7]
    if group_by == "week":
        year, week, _ = date.fromisoformat(day).isocalendar()
        return f"{year}-W{week:02d}"
    return day


def periods(first: str, last: str, group_by: str) -> Iterable[str]:
    """Every period from one day to another, in order, each once."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = (start + timedelta(days=number) for number in range((end - start).days + 1))
    return dict.fromkeys(period_of(day.isoformat(), group_by) for day in days)


def _largest_first(tallies: dict[str, Tally]) -> dict[str, Tally]:
    return dict(sorted(tallies.items(), key=lambda item: (-item[1].gross, -item[1].payments, item[0])))
