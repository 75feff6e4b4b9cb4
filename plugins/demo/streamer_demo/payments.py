"""Payment records, and the file that contains them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from streamer import Error

from .money import parse_amount

FILE_NAME: Final = "payments.csv.gz"
COLUMNS: Final = ("id", "created_at", "email", "amount", "currency", "method", "country", "status", "refunded")
STATUSES: Final = ("succeeded", "partially_refunded", "refunded", "failed")


class Payment(NamedTuple):
    """One record. Amounts are whole minor units of the currency."""

    id: str
    created_at: str
    """In UTC, such as `2024-03-01T12:00:00Z`."""
    email: str
    amount: int
    currency: str
    method: str
    country: str
    status: str
    """One of `STATUSES`; the amount of a `failed` payment was not moved."""
    refunded: int

    @property
    def day(self) -> str:
        """Such as `2024-03-01`."""
        return self.created_at[:10]


class PaymentReader:
    """Reads a file of payments, one record at a time.

    Args:
        path: gzip-compressed CSV with the columns `COLUMNS`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = max(1, path.stat().st_size)
        self._position = 0

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._position / self._size

    def __iter__(self) -> Iterator[Payment]:
        """The records in the file's order.

        Raises:
            Error: DATA_ERROR with the file's name and the line that is not a payment.
        """
        with self._path.open("rb") as raw, gzip.open(raw, "rb") as unpacked:
            lines = csv.reader(io.TextIOWrapper(unpacked, encoding="utf-8", newline=""))
            try:
                _check_header(next(lines, []))
                for fields in lines:
                    self._position = raw.tell()
                    yield _payment(fields)
            except (ValueError, csv.Error, EOFError, gzip.BadGzipFile) as broken:
                message = f"{self._path.name}, line {max(1, lines.line_num)}: {broken}"
                raise Error("DATA_ERROR", message, {"line": max(1, lines.line_num)}) from broken


def _check_header(fields: list[str]) -> None:
    if tuple(fields) != COLUMNS:
        raise ValueError(f"the first line must be {','.join(COLUMNS)}")


def _payment(fields: list[str]) -> Payment:
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields instead of {len(COLUMNS)}")
    record_id, created_at, email, amount, currency, method, country, status, refunded = fields
    if status not in STATUSES:
        raise ValueError(f"status {status!r} is not one of {', '.join(STATUSES)}")
    date.fromisoformat(created_at[:10])
    return Payment(
        record_id,
        created_at,
        email,
        parse_amount(amount, currency),
        currency,
        method,
        country,
        status,
        parse_amount(refunded, currency) if refunded else 0,
    )
