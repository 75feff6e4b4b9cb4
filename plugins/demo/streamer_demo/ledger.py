"""A ledger of operations on payments (refunds, tags and archiving) in an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from streamer import Error

from .database import transaction
from .generator import ensure_payments
from .money import format_amount, parse_amount
from .payments import PaymentReader

_TABLES = (
    """CREATE TABLE payments (id TEXT PRIMARY KEY, amount INTEGER NOT NULL, currency TEXT NOT NULL,
       status TEXT NOT NULL, refunded INTEGER NOT NULL, archived INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    "CREATE TABLE tags (payment TEXT, tag TEXT, PRIMARY KEY (payment, tag)) WITHOUT ROWID",
    """CREATE TABLE applied (request TEXT, item INTEGER, code TEXT, message TEXT, at REAL NOT NULL,
       PRIMARY KEY (request, item)) WITHOUT ROWID""",
    "CREATE INDEX applied_at ON applied (at)",
)
_REMEMBERED: Final = 30 * 86_400.0
"""Seconds for which the outcome of an item is kept; longer than the lifetime of any request."""


class Outcome(NamedTuple):
    """The outcome of one item; no code means success."""

    item: int
    """Its index within the request."""
    code: str | None
    message: str | None


class Ledger:
    """The ledger of one data folder; created from the file of payments when it is first used.

    Args:
        data_dir: the folder of the ledger and the payments.
        records: how many payments to generate if there are none.
    """

    def __init__(self, data_dir: Path, records: int) -> None:
        self._data_dir = data_dir
        self._records = records
        self._path = data_dir / "ledger.sqlite"

    def apply(
        self, key: str, moment: float, operation: str, items: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> list[Outcome]:
        """Applies an operation to some items in one transaction: all of them are durable, or none.

        An item that was applied before with the same key is not applied again; its first outcome is returned.

        Args:
            key: the request.
            moment: when the request was created, in seconds since 1970.
            operation: one of `OPERATIONS`.
            items: each with its index within the request.
        """
        act = OPERATIONS[operation]
        with transaction(self._path, self._prepare) as database:
            database.execute("DELETE FROM applied WHERE at < ?", (moment - _REMEMBERED,))
            return [_once(database, (key, index), moment, act, item) for index, item in items]

    def _prepare(self, database: sqlite3.Connection) -> None:
        for table in _TABLES:
            database.execute(table)
        database.executemany(
            "INSERT INTO payments (id, amount, currency, status, refunded) VALUES (?, ?, ?, ?, ?)",
            (
                (payment.id, payment.amount, payment.currency, payment.status, payment.refunded)
                for payment in PaymentReader(ensure_payments(self._data_dir, self._records))
            ),
        )


class _Payment(NamedTuple):
    id: str
    amount: int
    currency: str
    status: str
    refunded: int
    archived: int


Operation = Callable[[sqlite3.Connection, _Payment, Mapping[str, Any]], None]


def _once(
    database: sqlite3.Connection, place: tuple[str, int], moment: float, act: Operation, item: Mapping[str, Any]
) -> Outcome:
    found = database.execute("SELECT code, message FROM applied WHERE request = ? AND item = ?", place).fetchone()
    if found is not None:
        return Outcome(place[1], *found)
    code = message = None
    try:
        act(database, _find(database, item["id"]), item)
    except Error as refused:
        code, message = refused.code, refused.message
    database.execute("INSERT INTO applied VALUES (?, ?, ?, ?, ?)", (*place, code, message, moment))
    return Outcome(place[1], code, message)


def _find(database: sqlite3.Connection, payment_id: str) -> _Payment:
    row = database.execute("SELECT * FROM payments WHERE id = ?", (payment_id,)).fetchone()
    if row is None:
        raise Error("NOT_FOUND", f"payment {payment_id} does not exist")
    return _Payment(*row)


def _refund(database: sqlite3.Connection, payment: _Payment, item: Mapping[str, Any]) -> None:
    if payment.status == "failed":
        raise Error("NOT_REFUNDABLE", "the payment failed, so no money was moved")
    left = payment.amount - payment.refunded
    if left == 0:
        raise Error("ALREADY_REFUNDED", "the payment is already fully refunded")
    try:
        wanted = parse_amount(item["amount"], payment.currency) if "amount" in item else left
    except ValueError as wrong:
        raise Error("VALIDATION_ERROR", str(wrong)) from None
    if not 0 < wanted <= left:
        rest = format_amount(left, payment.currency)
        raise Error("AMOUNT_TOO_LARGE", f"the amount of a refund must be above 0 and at most {rest} {payment.currency}")
    status = "refunded" if wanted == left else "partially_refunded"
    database.execute(
        "UPDATE payments SET refunded = refunded + ?, status = ? WHERE id = ?", (wanted, status, payment.id)
    )


def _tag(database: sqlite3.Connection, payment: _Payment, item: Mapping[str, Any]) -> None:
    # Adding an existing tag changes nothing.
    database.execute("INSERT OR IGNORE INTO tags VALUES (?, ?)", (payment.id, item["tag"]))


def _archive(database: sqlite3.Connection, payment: _Payment, _item: Mapping[str, Any]) -> None:
    if payment.archived:
        raise Error("CONFLICT", "the payment is already archived")
    database.execute("UPDATE payments SET archived = 1 WHERE id = ?", (payment.id,))


OPERATIONS: Final[Mapping[str, Operation]] = {"refund": _refund, "tag": _tag, "archive": _archive}
