"""Generates the demo's data: payments of two years, the same on every machine."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final

from .files import whole_file
from .money import format_amount
from .payments import COLUMNS, FILE_NAME, Payment

FIRST_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC)
DAYS: Final = 731
RECORDS: Final = 100_000

# Country: share of payments, currency, shares of methods.
_COUNTRIES: Final[dict[str, tuple[int, str, dict[str, int]]]] = {
    "DE": (22, "EUR", {"card": 35, "sepa_debit": 30, "paypal": 30, "bank_transfer": 5}),
    "US": (18, "USD", {"card": 72, "paypal": 18, "wallet": 10}),
    "GB": (12, "GBP", {"card": 66, "paypal": 22, "wallet": 12}),
    "FR": (11, "EUR", {"card": 74, "paypal": 16, "sepa_debit": 10}),
    "NL": (9, "EUR", {"ideal": 68, "card": 20, "paypal": 12}),
    "PL": (7, "PLN", {"blik": 58, "card": 34, "bank_transfer": 8}),
    "CH": (6, "CHF", {"card": 58, "wallet": 27, "bank_transfer": 15}),
    "SE": (5, "SEK", {"card": 55, "wallet": 35, "bank_transfer": 10}),
    "BR": (5, "BRL", {"pix": 64, "card": 36}),
    "JP": (5, "JPY", {"card": 62, "wallet": 38}),
}
# Logarithm of the median amount in minor units: about 40 euros in each currency.
_MIDDLE: Final = {"EUR": 8.3, "USD": 8.4, "GBP": 8.15, "CHF": 8.3, "PLN": 9.7, "SEK": 10.7, "BRL": 10.0, "JPY": 8.8}
# Failed payments per thousand.
_FAILING: Final = {
    "card": 72,
    "sepa_debit": 35,
    "paypal": 28,
    "bank_transfer": 12,
    "wallet": 40,
    "ideal": 22,
    "blik": 45,
    "pix": 18,
}
_REFUNDED: Final = 38
_PARTIALLY: Final = 12
_WEEKDAYS: Final = (1.0, 0.97, 0.98, 1.02, 1.18, 1.25, 0.88)
_MONTHS: Final = (0.86, 0.84, 0.93, 0.97, 1.0, 0.95, 0.9, 0.92, 1.0, 1.05, 1.32, 1.48)
_HOURS: Final = (4, 2, 1, 1, 1, 2, 5, 9, 14, 18, 21, 23, 24, 22, 20, 19, 20, 23, 27, 30, 31, 26, 17, 9)
_NAMES: Final = ("anna", "ben", "chloe", "diego", "ewa", "felix", "hana", "ines", "jonas", "kenji", "lara", "marta")


def ensure_payments(data_dir: Path, records: int = RECORDS) -> Path:
    """The file of payments in `data_dir`, generated if it does not exist. An existing file is never changed.

    Two processes that find it missing both generate it; the contents are the same, and each replaces the whole file.
    """
    path = data_dir / FILE_NAME
    if not path.exists():
        with whole_file(path) as temporary:
            _write(temporary, records)
    return path


def _write(path: Path, records: int) -> None:
    with (
        path.open("wb") as raw,
        # No file name and no time in the header: the same records give the same bytes.
        gzip.GzipFile("", "wb", 3, raw, 0) as packed,
        io.TextIOWrapper(packed, "utf-8", newline="") as text,
    ):
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(_fields(payment) for payment in generate(records))


def generate(records: int, seed: int = 2024) -> Iterator[Payment]:
    """That many payments in order of time; the same seed gives the same payments."""
    source = random.Random(seed)  # noqa: S311 - example data, nothing secret
    countries = source.choices(list(_COUNTRIES), [share for share, _, _ in _COUNTRIES.values()], k=records)
    methods = {country: list(accumulate(shares.values())) for country, (_, _, shares) in _COUNTRIES.items()}
    chance, pick = source.random, source.choices
    for number, (moment, country) in enumerate(zip(_moments(source, records), countries, strict=True), 1):
        _, currency, shares = _COUNTRIES[country]
        method = pick(list(shares), cum_weights=methods[country])[0]
        amount = max(1, round(source.lognormvariate(_MIDDLE[currency], 0.85)))
        status, refunded = _fate(chance() * 1000, _FAILING[method], amount)
        customer = int(chance() ** 1.5 * records / 6)
        email = f"{_NAMES[customer % len(_NAMES)]}.{customer}@example.com"
        yield Payment(f"pay_{number:06d}", moment, email, amount, currency, method, country, status, refunded)


def _moments(source: random.Random, records: int) -> list[str]:
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]
    # Weekday, season, and a business that grows by two thirds over the two years.
    weights = [
        _WEEKDAYS[day.weekday()] * _MONTHS[day.month - 1] * (1 + number / 1100) for number, day in enumerate(days)
    ]
    dates = [day.date().isoformat() for day in days]
    hours = source.choices(range(24), _HOURS, k=records)
    chance = source.random
    return sorted(
        f"{date}T{hour:02d}:{int(chance() * 60):02d}:{int(chance() * 60):02d}Z"
        for date, hour in zip(source.choices(dates, weights, k=records), hours, strict=True)
    )


def _fate(lot: float, failing: int, amount: int) -> tuple[str, int]:
    if lot < failing:
        return "failed", 0
    if lot < failing + _REFUNDED:
        return "refunded", amount
    if lot < failing + _REFUNDED + _PARTIALLY and amount > 1:
        return "partially_refunded", amount // 2
    return "succeeded", 0


def _fields(payment: Payment) -> tuple[str, ...]:
    amount = format_amount(payment.amount, payment.currency)
    refunded = format_amount(payment.refunded, payment.currency) if payment.refunded else ""
    return (*payment[:3], amount, *payment[4:8], refunded)
