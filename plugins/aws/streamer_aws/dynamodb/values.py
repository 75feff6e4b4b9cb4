"""Values as DynamoDB's own protocol writes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Value = Mapping[str, Any]
"""A value with its type: `{"S": "text"}`."""
Item = dict[str, Any]
"""Values by the names of their attributes."""

LEAST: Final = 1e-120
"""DynamoDB keeps no number that is nearer to nothing."""
LAST: Final = "~"
"""Sorts behind everything that a place may hold."""

_encode = msgspec.json.Encoder().encode


def text(value: str) -> Value:
    """A string's value."""
    return {"S": value}


def number(value: float) -> Value:
    """A number's value; a float comes back as the same float, unless it is too near to nothing for DynamoDB."""
    return {"N": repr(value) if abs(value) > LEAST else "0"}


def data(value: bytes) -> Value:
    """The value of bytes."""
    return {"B": value}


def as_json(value: Any) -> Value:
    """The value of what is kept as JSON text."""
    return {"S": _encode(value).decode()}


def before(moment: float) -> str:
    """Sorts before every place of that time."""
    return f"{micros(moment):020d}"


def micros(moment: float) -> int:
    """Whole microseconds of a time; never below nothing, so that digits sort as numbers do."""
    return max(int(moment * 1_000_000), 0)
