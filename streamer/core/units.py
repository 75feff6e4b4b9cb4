"""Durations, sizes and rates in the notation of the file: `250ms`, `128KiB`, `100/1m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, NamedTuple

_DURATIONS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_NUMBER: Final = r"(\d++(?:\.\d++)?)"
_DURATION_PART: Final = re.compile(_NUMBER + r"(us|ms|s|m|h|d)", re.ASCII)
_SIZE: Final = re.compile(_NUMBER + r"\s?(B|KB|MB|GB|KiB|MiB|GiB)", re.ASCII)
_RATE: Final = re.compile(r"(\d+)/(.+)", re.ASCII)
_LONGEST: Final = 100 * 365 * 86400.0
_LARGEST: Final = 2**63 - 1


class Rate(NamedTuple):
    """`limit` events in each `period` seconds."""

    limit: int
    period: float


def parse_duration(text: str) -> float:
    """Seconds of `250ms`, `5s`, `1m30s`, `7d`.

    Raises:
        ValueError: it is not a duration with a unit, or is longer than a hundred years.
    """
    position = 0
    total = 0.0
    # Not `finditer`: in a text of only digits it would look for a unit after each of them.
    while (part := _DURATION_PART.match(text, position)) is not None:
        total += float(part[1]) * _DURATIONS[part[2]]
        position = part.end()
    if position == 0 or position != len(text):
        raise ValueError(
            f"{text!r} is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 250ms or 1m30s"
        )
    if total > _LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return total


def parse_size(text: str) -> int:
    """Bytes of `512B`, `128KiB`, `1.5MB`.

    Raises:
        ValueError: it is not a size with a unit.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a size: write a number with a unit (B, KB, MB, GB, KiB, MiB, GiB), as in 128KiB"
        )
    size = float(match[1]) * _SIZES[match[2]]
    if size > _LARGEST:
        raise ValueError(f"{text!r} is larger than any file can be")
    return int(size)


def parse_rate(text: str) -> Rate:
    """Count and period of `100/1m`.

    Raises:
        ValueError: it is not a rate, or its count or period is zero.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate: write a count, a slash and a duration, as in 100/1m")
    period = parse_duration(match[2])
    if period <= 0 or int(match[1]) <= 0:
        raise ValueError(f"{text!r} is not a rate: count and period must be above zero")
    if int(match[1]) > _LARGEST:
        raise ValueError(f"{text!r} is too large a rate")
    return Rate(int(match[1]), period)


def format_duration(seconds: float) -> str:
    """The shortest exact notation: `format_duration(90)` is `1m30s`, `0.25` is `250ms`."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        for unit, scale in (("ms", 1e-3), ("us", 1e-6)):
            count = seconds / scale
            if count >= 1 and abs(count - round(count)) < 1e-6:  # noqa: PLR2004 - float noise of the division
                return f"{round(count)}{unit}"
        return f"{seconds:g}s"
    parts = []
    rest = seconds
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _DURATIONS[unit])
        if count:
            parts.append(f"{int(count)}{unit}")
    if rest:
        parts.append(f"{rest:g}s")
    return "".join(parts)


def format_rate(rate: Rate) -> str:
    """The notation of a rate: `format_rate(Rate(100, 60))` is `100/1m`."""
    return f"{rate.limit}/{format_duration(rate.period)}"


def format_size(size: int) -> str:
    """The notation in the largest binary unit that divides it: `format_size(131072)` is `128KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"


def as_seconds(duration: float | str | timedelta) -> float:
    """A duration given as seconds, as text such as `"5s"`, or as a timedelta.

    Raises:
        ValueError: the text is not a duration.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    return parse_duration(duration) if isinstance(duration, str) else float(duration)
