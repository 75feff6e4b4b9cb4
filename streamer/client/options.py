"""What a caller may give for a number, checked where it is given."""

from __future__ import annotations

import math
from typing import Any


def checked_seconds(name: str, value: Any) -> float:
    """A number of seconds above zero.

    Raises:
        TypeError: it is no number.
        ValueError: it is zero, negative, infinite or not a number at all.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds; it is {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 seconds, and finite; it is {value!r}")
    return value


def checked_timeout(value: Any) -> float | None:
    """How long to wait for a request; None, and infinity, are no limit.

    Raises:
        TypeError: it is no number.
        ValueError: it is zero, negative or not a number at all.
    """
    if value is None or value == math.inf:
        return None
    return checked_seconds("timeout", value)


def checked_size(name: str, value: Any) -> int:
    """A number of bytes above zero.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is zero or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number of bytes; it is {value!r}")
    if value <= 0:
        raise ValueError(f"{name} must be above 0 bytes; it is {value!r}")
    return value
