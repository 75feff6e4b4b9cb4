"""The rules by which a row of a payments file is accepted, refused or repaired."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from .money import EXPONENTS, format_amount, parse_amount

REQUIRED: Final = ("id", "email", "created_at", "amount", "currency")
"""Columns that a file must have, and values that a row must have."""

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
"""Repairs one value, or raises ValueError with what is wrong with it."""


class Problem(NamedTuple):
    """One thing that is wrong with a row."""

    reason: str
    """A word that problems are counted by, such as `bad_email`."""
    column: str
    message: str


class Cleaner:
    """Cleans the rows of one file; it remembers their ids.

    Args:
        columns: the file's columns, as `column_names` gives them.
        decimal: the decimal separator of amounts, `.` or `,`; the other one may separate thousands.
    """

    def __init__(self, columns: Sequence[str], decimal: str = ".") -> None:
        self._columns = columns
        self._decimal = decimal
        self._seen: set[str] = set()

    def clean(self, fields: Sequence[str]) -> tuple[list[str], list[Problem]]:
        """The row as it should be, and all that is wrong with it. A row with problems is to be refused."""
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
            problems.append(Problem("duplicate_id", "id", f"{row['id']!r} came before"))
        elif not problems:
            # Only an accepted row takes its id: a repaired second copy of a refused one is welcome.
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
        ValueError: a required column is missing, or a name comes twice.
    """
    names = [_SPACES.sub("_", field.strip().lower()) for field in fields]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ValueError(f"missing columns: {', '.join(missing)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns that come twice: {', '.join(twice)}")
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
    """ISO 8601, or day.month.year; times become UTC, and one without a zone is taken for UTC."""
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
