"""The numbers of a report: exact, complete, and the same in every table."""

import pytest

from streamer_demo.aggregation import Aggregator, Tally, period_of, periods
from streamer_demo.generator import generate
from streamer_demo.money import to_cents
from streamer_demo.payments import Payment


def payment(day="2024-03-01", amount=1000, currency="EUR", status="succeeded", refunded=0, **others):
    fields = {"id": "pay_1", "created_at": f"{day}T12:00:00Z", "email": "a@example.com", "method": "card", **others}
    return Payment(amount=amount, currency=currency, country="DE", status=status, refunded=refunded, **fields)


def report_of(payments, group_by="month", **limits):
    aggregator = Aggregator(group_by, **limits)
    for one in payments:
        if aggregator.wants(one):
            aggregator.add(one)
    return aggregator.report()


def test_counts_sums_and_average_of_a_few_payments():
    report = report_of(
        [
            payment(amount=1000),
            payment(amount=2001, status="partially_refunded", refunded=501),
            payment(amount=9999, status="failed"),
        ]
    )
    assert report.total == Tally(payments=3, failed=1, refunds=1, gross=3001, refunded=501)
    assert (report.total.net, report.total.average) == (2500, 1501)


def test_nothing_has_no_average_and_no_periods():
    report = report_of([])
    assert (report.total.average, report.periods, report.start, report.end) == (0, {}, "", "")


@pytest.mark.parametrize("group_by", ["day", "week", "month"])
def test_every_table_adds_up_to_the_same_total(group_by):
    report = report_of(generate(2000), group_by)
    for tallies in (report.periods, *report.breakdowns.values()):
        total = Tally()
        for tally in tallies.values():
            total.add(tally)
        assert total == report.total
    assert sum(tally.payments for tally in report.rows.values()) == 2000
    assert sum(tally.payments for tally in report.native.values()) == 2000


def test_the_total_is_what_a_plain_sum_says():
    payments = list(generate(2000))
    paid = [one for one in payments if one.status != "failed"]
    assert report_of(payments).total.gross == sum(to_cents(one.amount, one.currency) for one in paid)


def test_periods_without_payments_are_there_too():
    report = report_of([payment("2024-01-15"), payment("2024-04-02")])
    assert list(report.periods) == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert report.periods["2024-02"] == Tally()
    assert (report.start, report.end) == ("2024-01-15", "2024-04-02")


def test_the_limits_count_in():
    days = ["2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01"]
    report = report_of([payment(day) for day in days], first="2024-02-01", last="2024-02-29")
    assert report.total.payments == 2


def test_one_currency_is_reported_in_itself():
    report = report_of([payment(currency="USD", amount=100), payment(currency="EUR", amount=7)], currency="USD")
    assert (report.currency, report.total.gross, list(report.native)) == ("USD", 100, ["USD"])


def test_several_currencies_are_reported_in_euros_and_kept_in_their_own():
    report = report_of(
        [payment(currency="USD", amount=100), payment(currency="USD", amount=50, status="refunded", refunded=50)]
    )
    assert (report.currency, report.total.gross, report.total.refunded) == ("EUR", 92 + 46, 46)
    assert report.native["USD"] == report.rows["2024-03", "USD"]
    assert report.native["USD"].gross == 150


def test_the_largest_comes_first():
    report = report_of([payment(amount=1, method="card"), payment(amount=5, method="ideal")])
    assert list(report.breakdowns["method"]) == ["ideal", "card"]


def test_weeks_are_those_of_iso_8601():
    assert period_of("2024-12-30", "week") == "2025-W01"
    assert list(periods("2024-12-29", "2025-01-06", "week")) == ["2024-W52", "2025-W01", "2025-W02"]
    assert period_of("2024-12-30", "day") == "2024-12-30"
