"""Amounts of money as whole minor units: cents, pence, or yen."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

EXPONENTS: Final = {
    "EUR": 2,
    "USD": 2,
    "GBP": 2,
    "CHF": 2,
    "PLN": 2,
    "SEK": 2,
    "BRL": 2,
    "JPY": 0,
}
"""Decimal places of each currency's minor unit (ISO 4217)."""

REPORTING_CURRENCY: Final = "EUR"

_EUROS: Final = {
    "EUR": Fraction(1),
    "USD": Fraction("0.92"),
    "GBP": Fraction("1.17"),
    "CHF": Fraction("1.04"),
    "PLN": Fraction("0.233"),
    "SEK": Fraction("0.0875"),
    "BRL": Fraction("0.168"),
    "JPY": Fraction("0.0061"),
}
"""Euros for one unit: fixed reference rates, so that the same payments always give the same report."""

_CENTS: Final = {currency: rate * 100 / 10 ** EXPONENTS[currency] for currency, rate in _EUROS.items()}
_MOST_MINOR: Final = 10**15


def parse_amount(text: str, currency: str) -> int:
    """Minor units of a plain decimal such as `12.50`.

    Raises:
        ValueError: it is not a number, has too many decimal places for the currency, exceeds a million billion minor
            units, or the currency is not in `EXPONENTS`.
    """
    if currency not in EXPONENTS:
        raise ValueError(f"{currency!r} is not one of {', '.join(EXPONENTS)}")
    try:
        amount = Decimal(text).scaleb(EXPONENTS[currency])
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number") from None
    if not amount.is_finite() or abs(amount) > _MOST_MINOR:
        raise ValueError(f"{text!r} is not an amount of money")
    minor = int(amount)
    if minor != amount:
        raise ValueError(f"{text!r} has too many decimal places for {currency} ({EXPONENTS[currency]} are allowed)")
    return minor


def format_amount(minor: int, currency: str, *, thousands: str = "") -> str:
    """A plain decimal with the currency's decimal places: `format_amount(1250, "EUR")` is `12.50`."""
    places = EXPONENTS[currency]
    whole, part = divmod(abs(minor), 10**places)
    sign = "-" if minor < 0 else ""
    fraction = f".{part:0{places}d}" if places else ""
    return f"{sign}{whole:,}".replace(",", thousands) + fraction


def to_cents(minor: int, currency: str) -> int:
    """Euro cents of an amount, half a cent rounded up."""
    rate = _CENTS[currency]
    cents: int = (2 * minor * rate.numerator + rate.denominator) // (2 * rate.denominator)
    return cents
