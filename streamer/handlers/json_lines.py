"""The protocol of programs and streamed answers: JSON lines with progress, then one result or error. No I/O."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.messages import Reporter, Result

_SHOWN: Final = 300
"""How much of an invalid line is logged."""

_TAKEN: Final = frozenset({"self", "percentage", "message"})
"""Parameter names of a reporter."""


class ErrorLine(msgspec.Struct):
    """`error` as a program writes it, and as an endpoint may."""

    code: str
    message: str
    retryable: bool | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_error(self) -> Error:
        """The same as an exception."""
        return Error(self.code, self.message, self.details, retryable=self.retryable)


class _Line(msgspec.Struct):
    progress: float | msgspec.UnsetType = msgspec.UNSET
    message: str = ""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    result: Any = msgspec.UNSET
    error: ErrorLine | msgspec.UnsetType = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Line).decode


class JsonLines:
    """Parses bytes as they arrive, reports progress immediately, and keeps the outcome.

    Args:
        reporter: gets the progress.
        longest: maximum bytes of one line.
    """

    def __init__(self, reporter: Reporter, longest: int) -> None:
        self.outcome: Result | Error | None = None
        """The outcome in the last line; None while there was none."""
        self._reporter = reporter
        self._longest = longest
        self._rest = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> None:
        """Parses every line that is complete.

        Raises:
            Error: INTERNAL_ERROR, with the line's number in its details and the problem in a note. Only the note
                contains the line itself, which may contain what the client must not see.
        """
        rest = self._rest
        start = len(rest)
        rest += data
        if b"\n" in data:
            end = rest.rindex(b"\n", start)
            whole = bytes(rest[:end])
            del rest[: end + 1]
            for line in whole.split(b"\n"):
                self._interpret(line)
        if len(rest) > self._longest:
            self._number += 1
            raise self._wrong(bytes(rest), f"it is longer than {self._longest} bytes")

    def end(self) -> Result | Error | None:
        """The outcome, at the end of the input; the last line needs no line break.

        Raises:
            Error: as `feed`.
        """
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self._interpret(line)
        return self.outcome

    def _interpret(self, line: bytes) -> None:
        self._number += 1
        if not line.strip():
            return
        if len(line) > self._longest:
            raise self._wrong(line, f"it is longer than {self._longest} bytes")
        if self.outcome is not None:
            raise self._wrong(line, "it follows the result or error, which must be the last line")
        try:
            read = _decode(line)
        except (ValueError, RecursionError) as problem:
            raise self._wrong(line, str(problem)) from problem
        said = [name for name in ("progress", "result", "error") if getattr(read, name) is not msgspec.UNSET]
        if len(said) != 1:
            raise self._wrong(line, "it must have exactly one of progress, result and error")
        if not isinstance(read.progress, msgspec.UnsetType):
            if not _TAKEN.isdisjoint(read.metadata):
                raise self._wrong(line, f"its metadata may not use the names {', '.join(sorted(_TAKEN))}")
            self._reporter.report(read.progress, read.message, **read.metadata)
        elif not isinstance(read.error, msgspec.UnsetType):
            self.outcome = read.error.to_error()
        else:
            self.outcome = Result(data=read.result)

    def _wrong(self, line: bytes, why: str) -> Error:
        error = Error(
            INTERNAL_ERROR,
            f"Line {self._number} of the answer violates the protocol of JSON lines",
            {"line": self._number},
        )
        shown = line[:_SHOWN].decode(errors="replace") + ("…" if len(line) > _SHOWN else "")
        error.add_note(f"line {self._number} violates the protocol: {why}: {shown}")
        return error
