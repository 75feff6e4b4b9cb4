"""The rules for accepting, rejecting or repairing a row of a payments file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from .money import EXPONENTS, format_amount, parse_amount

REQUIRED: Final = ("id", "email", "created_at", "amount", "currency")
"""Required columns of a file, with required values in each row."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_LONGEST_EMAIL = 254
_SPACES = re.compile(r"\s+")
_GAPS = str.maketrans("", "", " '\u00a0\u202f")
_NUMBERS = {
    ".": re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?", re.ASCII),
}
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?", re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)


Rule = Callable[[str], str]
"""Repairs one value, or raises ValueError with the problem."""


class Problem(NamedTuple):
    """One problem of a row."""

    reason: str
    """A word for counting problems, such as `bad_email`."""
    column: str
    message: str


class Cleaner:
    """Cleans the rows of one file; it remembers their ids.

    Args:
        columns: the file's columns, from `column_names`.
        decimal: the decimal separator of amounts, `.` or `,`; the other character can separate thousands.
    """

    def __init__(self, columns: Sequence[str], decimal: str = ".") -> None:
        self._columns = columns
        self._decimal = decimal
        self._seen: set[str] = set()

    def clean(self, fields: Sequence[str]) -> tuple[list[str], list[Problem]]:
        """The cleaned row, and all its problems. A row with problems must be rejected."""
        if len(fields) != len(self._columns):
            wrong = f"{len(fields)} fields instead of {len(self._columns)}"
            return [], [Problem("wrong_field_count", "", wrong)]
        row = {name: _SPACES.sub(" ", field).strip() for name, field in zip(self._columns, fields, strict=True)}
        problems = [Problem("missing_value", name, "empty") for name in REQUIRED if not row[name]]
        for name, rule in (("email", _email), ("created_at", _moment), ("currency", _currency)):
            if row[name]:
                self._apply(row, name, rule, problems)
        if row["amount"] and row["currency"] in EXPONENTS:
            currency = row["currency"]
            self._apply(row, "amount", lambda text: self._amount(text, currency), problems)
        if row["id"] in self._seen:
            problems.append(Problem("duplicate_id", "id", f"{row['id']!r} is a duplicate"))
        elif not problems:
            # Only an accepted row uses up its id: a corrected copy of a rejected row is accepted.
            self._seen.add(row["id"])
        return list(row.values()), problems

    def _apply(self, row: dict[str, str], name: str, rule: Rule, problems: list[Problem]) -> None:
        try:
            row[name] = rule(row[name])
        except ValueError as wrong:
            reason = "bad_date" if name == "created_at" else f"bad_{name}"
            problems.append(Problem(reason, name, str(wrong)))

    def _amount(self, text: str, currency: str) -> str:
        number = text.translate(_GAPS)
        if not _NUMBERS[self._decimal].fullmatch(number):
            raise ValueError(f"{text[:40]!r} is not a number with {self._decimal!r} as its decimal separator")
        thousands = "," if self._decimal == "." else "."
        return format_amount(parse_amount(number.replace(thousands, "").replace(",", "."), currency), currency)


def column_names(fields: Sequence[str]) -> list[str]:
    """The header's names in lower case with underscores.

    Raises:
        ValueError: a required column is missing, or a name is repeated.
    """
    names = [_SPACES.sub("_", field.strip().lower()) for field in fields]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ValueError(f"missing columns: {', '.join(missing)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"repeated columns: {', '.join(twice)}")
    return names


def _email(text: str) -> str:
    if len(text) > _LONGEST_EMAIL or not _EMAIL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an e-mail address")
    return text.lower()


def _currency(text: str) -> str:
    if text.upper() not in EXPONENTS:
        raise ValueError(f"{text[:40]!r} is not one of {', '.join(EXPONENTS)}")
    return text.upper()


def _moment(text: str) -> str:
    """ISO 8601, or day.month.year; times are converted to UTC, and a time without a zone counts as UTC."""
    dotted = _DOTTED.fullmatch(text)
    try:
        if dotted:
            day, month, year = map(int, dotted.groups())
            return datetime(year, month, day, tzinfo=UTC).date().isoformat()
        if _ISO.fullmatch(text):
            moment = datetime.fromisoformat(text)
            if len(text) == len("2024-03-01"):
                return text
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return f"{aware.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text[:40]!r} is not a date such as 2024-03-01 or 01.03.2024")
