"""Amounts are exact: whole minor units, never floats."""

from fractions import Fraction

import pytest

from streamer_demo.money import EXPONENTS, format_amount, parse_amount, to_cents


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.50", "EUR", 1250), ("12.5", "USD", 1250), ("0", "EUR", 0), ("-3.99", "GBP", -399), ("1200", "JPY", 1200)],
)
def test_a_decimal_becomes_minor_units(text, currency, minor):
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "complaint"),
    [
        ("twelve", "EUR", "not a decimal number"),
        ("NaN", "EUR", "not an amount of money"),
        ("Infinity", "EUR", "not an amount of money"),
        ("1e30", "EUR", "not an amount of money"),
        ("1.005", "EUR", "too many decimal places for EUR"),
        ("1.5", "JPY", "too many decimal places for JPY"),
        ("1.50", "XYZ", "not one of EUR"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_reason(text, currency, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_amount(text, currency)


@pytest.mark.parametrize("currency", EXPONENTS)
@pytest.mark.parametrize("minor", [0, 1, 99, 100, 123_456_789, -1, -100, -12_345])
def test_what_is_written_can_be_read_again(minor, currency):
    assert parse_amount(format_amount(minor, currency), currency) == minor


def test_thousands_are_separated_when_asked():
    assert format_amount(123_456_789, "EUR", thousands=",") == "1,234,567.89"
    assert format_amount(-1_234, "JPY", thousands=" ") == "-1 234"


def test_euros_are_euros_and_others_are_rounded_to_the_nearest_cent():
    assert to_cents(1234, "EUR") == 1234
    for minor in (1, 7, 12_345, 99_999):
        assert abs(Fraction("0.0061") * 100 * minor - to_cents(minor, "JPY")) <= Fraction(1, 2)
