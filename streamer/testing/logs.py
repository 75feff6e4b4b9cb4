"""A logger that records all calls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class LogLine(NamedTuple):
    """One call of a logger; it equals the plain tuple `(level, event, fields)`."""

    level: str
    """The method that was called: `info`, `warning`, `error`, …"""
    event: str
    """The text, with positional arguments filled in."""
    fields: dict[str, Any]
    """The keyword arguments, after the bound fields."""


class RecordingLogger:
    """A structlog-compatible logger for tests: it accepts every level and prints nothing.

    `lines` has every call in order. A logger that `bind` returns writes to the same list.

    Args:
        bound: fields at the start of each line.
    """

    def __init__(self, **bound: Any) -> None:
        self.bound: Mapping[str, Any] = bound
        self.lines: list[LogLine] = []
        self._logged: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def bind(self, **fields: Any) -> RecordingLogger:
        """A logger that adds these fields to its lines."""
        other = RecordingLogger(**{**self.bound, **fields})
        other.lines = self.lines
        other._logged = self._logged
        return other

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level.startswith("_"):
            raise AttributeError(level)

        def log(event: str, *arguments: Any, **fields: Any) -> None:
            text = event % arguments if arguments else event
            self.lines.append(LogLine(level, text, {**self.bound, **fields}))
            self._logged[text].set()

        return log

    def events(self, level: str | None = None) -> list[str]:
        """The texts of all lines, or of those of one level."""
        return [line.event for line in self.lines if level in (None, line.level)]

    def fields(self, event: str) -> dict[str, Any]:
        """The fields of the first line with this text.

        Raises:
            LookupError: there is none; the message lists what was logged.
        """
        for line in self.lines:
            if line.event == event:
                return line.fields
        raise LookupError(f"{event!r} was not logged, but {self.events()}")

    async def until(self, event: str) -> dict[str, Any]:
        """Waits until a line with this text is logged, and returns its fields; immediately if there is one."""
        await self._logged[event].wait()
        return self.fields(event)
