"""Many payments at once: some fail, the others are done, and nothing is done twice."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from streamer_demo import ledger as ledger_module
from streamer_demo.bulk_operation import bulk_operation
from streamer_demo.generator import generate
from streamer_demo.ledger import Ledger

PAYMENTS = list(generate(3000))
PAID = [payment for payment in PAYMENTS if payment.status == "succeeded"]
FAILED = next(payment for payment in PAYMENTS if payment.status == "failed")
REFUNDED = next(payment for payment in PAYMENTS if payment.status == "refunded")
YEN = next(payment for payment in PAID if payment.currency == "JPY")


@pytest.fixture
def run(data_dir, request_of):
    def call(operation, items, batch_size=2, **fields):
        request = request_of({"operation": operation, "items": items}, **fields)
        return asyncio.run(bulk_operation(request, data_dir=data_dir, records=3000, batch_size=batch_size))

    return call


@pytest.fixture
def row(data_dir):
    def read(payment_id):
        with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as database:
            query = "SELECT amount, refunded, status, archived FROM payments WHERE id = ?"
            return database.execute(query, (payment_id,)).fetchone()

    return read


def codes(result):
    return [(failure["index"], failure["code"]) for failure in result["failures"]]


def test_what_can_be_refunded_is_and_the_rest_is_listed(run, row):
    payment = PAID[0]
    result = run("refund", [{"id": payment.id}, {"id": FAILED.id}, {"id": REFUNDED.id}, {"id": "pay_none"}])
    assert (result["operation"], result["succeeded"], result["failed"]) == ("refund", 1, 3)
    assert codes(result) == [(1, "NOT_REFUNDABLE"), (2, "ALREADY_REFUNDED"), (3, "NOT_FOUND")]
    assert result["failures"][2] == {
        "index": 3,
        "id": "pay_none",
        "code": "NOT_FOUND",
        "message": "payment pay_none does not exist",
    }
    assert row(payment.id) == (payment.amount, payment.amount, "refunded", 0)


def test_a_part_can_be_refunded_and_later_the_rest_but_no_more(run, row):
    payment = next(one for one in PAID if one.currency == "EUR" and one.amount > 1000)
    run("refund", [{"id": payment.id, "amount": "5.00"}], id="first")
    assert row(payment.id)[1:3] == (500, "partially_refunded")
    too_much = run(
        "refund", [{"id": payment.id, "amount": "999999.00"}, {"id": payment.id, "amount": "0"}], id="second"
    )
    assert codes(too_much) == [(0, "AMOUNT_TOO_LARGE"), (1, "AMOUNT_TOO_LARGE")]
    run("refund", [{"id": payment.id}], id="third")
    assert row(payment.id)[1:3] == (payment.amount, "refunded")


def test_an_amount_that_the_currency_does_not_have_is_refused(run):
    result = run("refund", [{"id": YEN.id, "amount": "1.50"}])
    assert codes(result) == [(0, "VALIDATION_ERROR")]
    assert "too many decimal places for JPY" in result["failures"][0]["message"]


def test_tags_are_set_once_and_archiving_twice_is_a_conflict(run, row, data_dir):
    payment = PAID[1].id
    assert run("tag", [{"id": payment, "tag": "vip"}, {"id": payment, "tag": "vip"}])["succeeded"] == 2
    with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as database:
        assert database.execute("SELECT * FROM tags").fetchall() == [(payment, "vip")]
    assert codes(run("archive", [{"id": payment}, {"id": payment}])) == [(1, "CONFLICT")]
    assert row(payment)[3] == 1


def test_a_run_that_is_repeated_does_nothing_twice_and_says_the_same(run, row):
    payment = next(one for one in PAID if one.currency == "EUR" and one.amount > 1000)
    items = [{"id": payment.id, "amount": "2.00"}, {"id": FAILED.id}, {"id": payment.id, "amount": "3.00"}]
    first = run("refund", items)
    assert run("refund", items, attempt=2) == first
    assert row(payment.id)[1] == 500


def test_a_run_that_died_between_two_batches_is_finished_by_the_next(run, row, monkeypatch):
    payments = [payment.id for payment in PAID[:6]]
    original, calls = Ledger.apply, []

    def dies_in_the_second(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise SystemError
        return original(self, *arguments)

    monkeypatch.setattr(Ledger, "apply", dies_in_the_second)
    with pytest.raises(SystemError):
        run("archive", [{"id": payment} for payment in payments])
    assert [row(payment)[3] for payment in payments] == [1, 1, 0, 0, 0, 0]
    result = run("archive", [{"id": payment} for payment in payments], attempt=2)
    assert (result["succeeded"], result["failed"]) == (6, 0)
    assert [row(payment)[3] for payment in payments] == [1] * 6


def test_a_batch_that_dies_half_way_is_undone(run, row, monkeypatch):
    def dies(database, payment, _item):
        database.execute("UPDATE payments SET archived = 1 WHERE id = ?", (payment.id,))
        if payment.id == PAID[1].id:
            raise SystemError

    run("tag", [{"id": PAID[0].id, "tag": "vip"}])
    monkeypatch.setattr(ledger_module, "OPERATIONS", {"archive": dies})
    with pytest.raises(SystemError):
        run("archive", [{"id": PAID[0].id}, {"id": PAID[1].id}])
    assert [row(payment.id)[3] for payment in PAID[:2]] == [0, 0]


def test_another_owner_or_other_items_under_the_same_id_are_another_request(run, row):
    payment = next(one for one in PAID if one.currency == "EUR" and one.amount > 1000)
    run("refund", [{"id": payment.id, "amount": "1.00"}])
    run("refund", [{"id": payment.id, "amount": "1.00"}], owner="client:b")
    run("refund", [{"id": payment.id, "amount": "1.01"}])
    assert row(payment.id)[1] == 301


def test_what_was_done_is_forgotten_after_a_month(run, data_dir):
    run("archive", [{"id": PAID[0].id}])
    run("archive", [{"id": PAID[1].id}], id="later", created_at=1_735_689_600.0 + 31 * 86400)
    with closing(sqlite3.connect(data_dir / "ledger.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM applied").fetchone() == (1,)


def test_progress_comes_with_each_batch(run, recorder):
    run("archive", [{"id": payment.id} for payment in PAID[:4]] + [{"id": "pay_none"}])
    assert recorder.percentages == [0, 40, 80, 100]
    assert recorder.reports[-1] == (100, "5 of 5, 1 failed", {"done": 5, "failed": 1})


def test_the_loop_is_free_while_the_disk_works(data_dir, request_of):
    async def both():
        request = request_of({"operation": "archive", "items": [{"id": payment.id} for payment in PAID[:10]]})
        work = asyncio.ensure_future(bulk_operation(request, data_dir=data_dir, records=3000, batch_size=1))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(both()) > 20


def test_requests_at_the_same_time_make_one_ledger_and_each_is_done(data_dir, request_of, row):
    async def many():
        requests = [
            request_of({"operation": "archive", "items": [{"id": payment.id}]}, id=payment.id) for payment in PAID[:8]
        ]
        await asyncio.gather(
            *(bulk_operation(request, data_dir=data_dir, records=3000, batch_size=1) for request in requests)
        )

    asyncio.run(many())
    assert [row(payment.id)[3] for payment in PAID[:8]] == [1] * 8
