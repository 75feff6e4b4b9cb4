"""The clock. No other part of the package reads the time or sleeps, so that tests can control time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """Wall-clock seconds since 1970-01-01 UTC, for values that are stored and shown. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring and for waiting."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds of `monotonic`."""
        ...


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds, the format in messages: `2026-01-01T12:00:00.000Z`."""
    second, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_text_of(second)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=16)
def _text_of(second: int) -> str:
    """Cached, since most messages within a moment have the same second."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]
