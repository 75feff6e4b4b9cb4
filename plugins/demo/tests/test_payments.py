"""The data: the same on every machine, quickly read, and refused by line when it is broken."""

import gzip
from collections import Counter

import pytest

from streamer import Error
from streamer_demo.generator import ensure_payments, generate
from streamer_demo.payments import COLUMNS, FILE_NAME, STATUSES, PaymentReader

GOOD = "pay_1,2024-03-01T12:00:00Z,a@example.com,12.50,EUR,card,DE,succeeded,"


def broken(tmp_path, *lines):
    path = tmp_path / FILE_NAME
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_what_was_written_is_what_was_generated(payments_file):
    assert list(PaymentReader(payments_file)) == list(generate(3000))


def test_the_same_seed_makes_the_same_bytes(tmp_path, payments_file):
    assert ensure_payments(tmp_path, 3000).read_bytes() == payments_file.read_bytes()


def test_another_seed_makes_other_payments():
    assert list(generate(10)) != list(generate(10, seed=1))


def test_a_file_that_is_there_is_never_changed(tmp_path):
    (tmp_path / FILE_NAME).write_text("mine")
    assert ensure_payments(tmp_path, 10).read_text() == "mine"


def test_payments_are_in_order_and_look_like_a_business():
    payments = list(generate(20_000))
    assert [payment.created_at for payment in payments] == sorted(payment.created_at for payment in payments)
    assert len({payment.id for payment in payments}) == len(payments)
    statuses = Counter(payment.status for payment in payments)
    assert set(statuses) == set(STATUSES)
    assert 0.03 < statuses["failed"] / len(payments) < 0.08
    months = Counter(payment.day[:7] for payment in payments)
    assert len(months) == 24
    assert months["2025-12"] > 1.5 * months["2025-02"]
    assert all(0 <= payment.refunded <= payment.amount for payment in payments)
    assert {payment.status for payment in payments if payment.refunded} == {"refunded", "partially_refunded"}


def test_a_reader_says_how_far_it_is(payments_file):
    reader = PaymentReader(payments_file)
    assert reader.fraction == 0
    list(reader)
    assert reader.fraction == 1


@pytest.mark.parametrize(
    ("lines", "line", "complaint"),
    [
        ([], 1, "the first line must be id,created_at"),
        (["id,amount"], 1, "the first line must be id,created_at"),
        ([",".join(COLUMNS), GOOD, "pay_2,short"], 3, "2 fields instead of 9"),
        ([",".join(COLUMNS), GOOD.replace("12.50", "x")], 2, "not a decimal number"),
        ([",".join(COLUMNS), GOOD.replace("2024-03", "2024-13")], 2, "month must be in 1..12"),
        ([",".join(COLUMNS), GOOD.replace("EUR", "XXX")], 2, "'XXX' is not one of"),
        ([",".join(COLUMNS), GOOD.replace("succeeded", "lost")], 2, "status 'lost' is not one of"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, lines, line, complaint):
    with pytest.raises(Error, match=complaint) as caught:
        list(PaymentReader(broken(tmp_path, *lines)))
    assert caught.value.code == "DATA_ERROR"
    assert caught.value.details == {"line": line}
    assert caught.value.message.startswith(f"{FILE_NAME}, line {line}: ")


def test_a_file_that_is_cut_or_not_packed_is_refused(tmp_path, payments_file):
    path = tmp_path / FILE_NAME
    path.write_bytes(payments_file.read_bytes()[:2000])
    with pytest.raises(Error, match="end-of-stream"):
        list(PaymentReader(path))
    path.write_text("plain")
    with pytest.raises(Error, match=r"[Nn]ot a gzipped file"):
        list(PaymentReader(path))
