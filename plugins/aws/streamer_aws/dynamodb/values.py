"""Values in the format of DynamoDB's protocol. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Value = Mapping[str, Any]
"""A value with its type: `{"S": "text"}`."""
Item = dict[str, Any]
"""Values by attribute name."""

LEAST: Final = 1e-120
"""The smallest positive number in DynamoDB."""
LAST: Final = "~"
"""Sorts after every possible place."""

_encode = msgspec.json.Encoder().encode


def text(value: str) -> Value:
    """A string's value."""
    return {"S": value}


def number(value: float) -> Value:
    """A number's value; a float is read back as the same float, unless it is too small for DynamoDB."""
    return {"N": repr(value) if abs(value) > LEAST else "0"}


def data(value: bytes) -> Value:
    """The value of bytes."""
    return {"B": value}


def as_json(value: Any) -> Value:
    """The value of JSON text."""
    return {"S": _encode(value).decode()}


def before(moment: float) -> str:
    """Sorts before every place of that time."""
    return f"{micros(moment):020d}"


def micros(moment: float) -> int:
    """Whole microseconds of a time; never negative, so that the digits sort like the numbers."""
    return max(int(moment * 1_000_000), 0)
