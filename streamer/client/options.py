"""Validates the arguments of callers."""

from __future__ import annotations

import math
import sys
from typing import Any

from streamer.core.ids import MAX_ID_LENGTH


def checked_seconds(name: str, value: Any) -> float:
    """A number of seconds above zero.

    Raises:
        TypeError: it is not a number.
        ValueError: it is zero, negative, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds; it is {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 seconds, and finite; it is {value!r}")
    return value


def checked_timeout(value: Any) -> float | None:
    """How long to wait for a request; None and infinity mean no limit.

    Raises:
        TypeError: it is not a number.
        ValueError: it is zero, negative or NaN.
    """
    if value is None or value == math.inf:
        return None
    return checked_seconds("timeout", value)


def checked_wait(value: Any) -> Any:
    """How long to wait for a direct answer. The service validates it, except for values that JSON cannot express.

    Raises:
        ValueError: it is infinite or NaN.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'wait must be zero or more seconds, or a string such as "2s"; it is {value!r}')
    return value


def checked_id(value: Any) -> str:
    """A request's id. It is validated here, since the service could not say which request it refuses.

    Raises:
        TypeError: it is not a string.
        ValueError: it is too long, or contains unprintable characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"id must be a string; it is {value!r}")
    if not 0 < len(value) <= MAX_ID_LENGTH or not value.isprintable():
        raise ValueError(f"id must be 1 to {MAX_ID_LENGTH} printable characters; it is {value[:200]!r}")
    return value


def checked_size(name: str, value: Any) -> int:
    """A number of bytes above zero.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is zero or negative, or too large for this machine.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of bytes; it is {value!r}")
    if not 0 < value <= sys.maxsize:
        raise ValueError(f"{name} must be above 0 bytes, and at most {sys.maxsize}; it is {value!r}")
    return value
