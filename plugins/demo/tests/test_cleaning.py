"""The rules: what is repaired, and what is refused for which reason."""

import pytest

from streamer_demo.cleaning import REQUIRED, Cleaner, column_names

GOOD = {"id": "p1", "email": "a@example.com", "created_at": "2024-03-01", "amount": "12.50", "currency": "EUR"}


def clean(decimal=".", **changes):
    row = {**GOOD, **changes}
    cleaned, problems = Cleaner(list(row), decimal).clean(list(row.values()))
    return dict(zip(row, cleaned, strict=True)), [problem.reason for problem in problems]


def test_a_good_row_stays_as_it_is():
    assert clean() == (GOOD, [])


@pytest.mark.parametrize(
    ("column", "written", "cleaned"),
    [
        ("id", "  p1\t", "p1"),
        ("note", "  two   words ", "two words"),
        ("email", " Ada@Example.COM ", "ada@example.com"),
        ("currency", "eur", "EUR"),
        ("amount", "12.5", "12.50"),
        ("amount", "+1,234.5", "1234.50"),
        ("amount", "1'234.50", "1234.50"),
        ("amount", "1\u00a0234", "1234.00"),
        ("amount", "-3", "-3.00"),
        ("created_at", "01.03.2024", "2024-03-01"),
        ("created_at", "1.3.2024", "2024-03-01"),
        ("created_at", "2024-03-01 12:30", "2024-03-01T12:30:00Z"),
        ("created_at", "2024-03-01T12:30:00+02:00", "2024-03-01T10:30:00Z"),
        ("created_at", "2024-03-01T12:30:00Z", "2024-03-01T12:30:00Z"),
    ],
)
def test_what_can_be_repaired_is(column, written, cleaned):
    row, problems = clean(**{column: written})
    assert (row[column], problems) == (cleaned, [])


@pytest.mark.parametrize(
    ("column", "written", "reason"),
    [
        *((name, "  ", "missing_value") for name in REQUIRED),
        ("email", "nobody", "bad_email"),
        ("email", "a@b", "bad_email"),
        ("email", "a@b..com", "bad_email"),
        ("email", "a b@example.com", "bad_email"),
        ("email", "a@" + "x" * 300 + ".com", "bad_email"),
        ("currency", "XYZ", "bad_currency"),
        ("amount", "twelve", "bad_amount"),
        ("amount", "1,23,456", "bad_amount"),
        ("amount", "1.005", "bad_amount"),
        ("amount", "1e5", "bad_amount"),
        ("amount", "9" * 40, "bad_amount"),
        ("created_at", "03/01/2024", "bad_date"),
        ("created_at", "2024-02-30", "bad_date"),
        ("created_at", "30.02.2024", "bad_date"),
        ("created_at", "2024-03-01T25:00", "bad_date"),
        ("created_at", "0001-01-01T00:00+10:00", "bad_date"),
    ],
)
def test_what_cannot_is_refused_with_its_reason(column, written, reason):
    assert clean(**{column: written})[1] == [reason]


def test_a_comma_may_be_the_decimal_separator():
    assert clean(",", amount="1.234,5")[0]["amount"] == "1234.50"
    assert clean(",", amount="1,234.5")[1] == ["bad_amount"]


def test_all_that_is_wrong_with_a_row_is_told():
    assert clean(email="x", created_at="y", currency="z", id="")[1] == [
        "missing_value",
        "bad_email",
        "bad_date",
        "bad_currency",
    ]


def test_a_row_with_too_few_or_too_many_fields_is_refused():
    cleaner = Cleaner(list(GOOD))
    for fields in (["p1"], [*GOOD.values(), "more"]):
        assert [problem.reason for problem in cleaner.clean(fields)[1]] == ["wrong_field_count"]


def test_an_id_is_taken_by_the_first_row_that_is_accepted():
    cleaner = Cleaner(list(GOOD))
    bad = {**GOOD, "email": "x"}
    outcomes = [cleaner.clean(list(row.values()))[1] for row in (bad, GOOD, GOOD)]
    assert [[problem.reason for problem in problems] for problems in outcomes] == [["bad_email"], [], ["duplicate_id"]]


def test_two_rows_without_an_id_are_not_duplicates():
    cleaner = Cleaner(list(GOOD))
    row = list({**GOOD, "id": ""}.values())
    assert [cleaner.clean(row)[1][0].reason for _ in range(2)] == ["missing_value", "missing_value"]


def test_headers_are_put_in_one_form():
    assert column_names([" ID", "E mail", "Email", "Created  At", "AMOUNT", "currency"])[3] == "created_at"


def test_a_header_without_a_column_or_with_one_twice_is_refused():
    with pytest.raises(ValueError, match="missing columns: email, created_at"):
        column_names(["id", "amount", "currency"])
    with pytest.raises(ValueError, match="repeated columns: id"):
        column_names([*REQUIRED, "ID"])
