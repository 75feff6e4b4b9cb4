"""Logs output of programs and endpoints, limited in length and without control characters."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Final

from streamer.core.messages import Request

LONGEST_LINE: Final = 2000
MOST_LINES: Final = 1000
LAST_LINES: Final = 20


def request_logger(logger: Any, request: Request) -> Any:
    """The logger with the request's id and action bound; one of structlog or of the standard library."""
    bound = {"request_id": request.id, "action": request.action}
    if isinstance(logger, logging.Logger | logging.LoggerAdapter):
        return logging.LoggerAdapter(logger, bound)
    return logger.bind(**bound)


def clean(data: bytes, longest: int = LONGEST_LINE) -> str:
    """Foreign bytes as one line of a log: truncated, and with a mark for each control character."""
    text = data[:longest].decode(errors="replace").rstrip()
    safe = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return safe + "…" if len(data) > longest else safe


class LineLog:
    """Receives the bytes of a program's stderr and logs them line by line.

    Args:
        logger: gets the lines.
        name: the source of the lines.
    """

    def __init__(self, logger: Any, name: str) -> None:
        # Undecoded: in a flood most lines are never shown.
        self._last: deque[bytes] = deque(maxlen=LAST_LINES)
        self._logger = logger
        self._name = name
        self._rest = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Logs every line that is complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            # Empty lines say nothing, and a flood of them would be expensive.
            if line and not line.isspace():
                self._log(line)
        # A line without an end must not fill the memory: only its start is ever shown.
        self._rest = rest[: LONGEST_LINE + 1]

    def end(self) -> None:
        """Logs a last line without a line break, and how many lines were omitted."""
        if self._rest:
            self._log(self._rest)
            self._rest = b""
        if self._count > MOST_LINES:
            self._logger.warning("%s: %d more lines of stderr are not shown", self._name, self._count - MOST_LINES)

    @property
    def last(self) -> list[str]:
        """The newest lines, for an error that may follow."""
        return [clean(line) for line in self._last]

    def _log(self, line: bytes) -> None:
        self._count += 1
        self._last.append(line)
        if self._count <= MOST_LINES:
            self._logger.info("%s: %s", self._name, clean(line))
