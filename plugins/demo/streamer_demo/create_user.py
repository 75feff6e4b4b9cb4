"""Stores users in an SQLite file, with unique e-mail addresses."""

from __future__ import annotations

import sqlite3
import unicodedata
from pathlib import Path
from typing import Any

from streamer import Error, Request
from streamer.core.clock import timestamp

from .database import transaction
from .files import request_key

_FIND = "SELECT number, name, email, country, created_at FROM users WHERE request = ? AND email = ?"
_INSERT = """INSERT INTO users (name, email, country, created_at, request) VALUES (?, ?, ?, ?, ?)
             RETURNING number, name, email, country, created_at"""


def create_user(request: Request, *, data_dir: Path) -> dict[str, Any]:
    """Creates a user; an existing e-mail address is a CONFLICT.

    Args:
        request: its payload has `name`, `email` and optionally `country`.
        data_dir: the folder of `users.sqlite`, which is created if it does not exist.
    """
    payload, key = request.payload, request_key(request)
    name = " ".join(unicodedata.normalize("NFC", payload["name"]).split())
    if not name:
        wrong = {"path": "/name", "message": "contains only spaces"}
        raise Error("VALIDATION_ERROR", "the name is empty", {"errors": [wrong]})
    email = payload["email"].strip().lower()
    with transaction(data_dir / "users.sqlite", _prepare) as database:
        # A repeated run finds the user that the first run created.
        made = database.execute(_FIND, (key, email)).fetchone()
        if made is None:
            made = _insert(database, (name, email, payload.get("country"), timestamp(request.created_at), key))
    number, *values = made
    return {"id": f"usr_{number:06d}", **dict(zip(("name", "email", "country", "created_at"), values, strict=True))}


def _prepare(database: sqlite3.Connection) -> None:
    database.execute(
        """CREATE TABLE users (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
           country TEXT, created_at TEXT NOT NULL, request TEXT NOT NULL)"""
    )


def _insert(database: sqlite3.Connection, values: tuple[str | None, ...]) -> tuple[Any, ...]:
    try:
        row: tuple[Any, ...] = database.execute(_INSERT, values).fetchone()
    except sqlite3.IntegrityError:
        email = values[1]
        raise Error("CONFLICT", f"a user with the e-mail address {email} already exists", {"email": email}) from None
    return row
