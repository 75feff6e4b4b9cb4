"""A text stream that passes its lines to a function: for `print` and other users of a standard stream."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable
from typing import Any, Final

LONGEST: Final = 16_384
"""Maximum characters of a line; a longer one is split."""


class _Begun(threading.local):
    """The unfinished line of each thread."""

    text = ""


class LineStream(io.TextIOBase):
    """Accepts text and passes on whole lines, without their line breaks. It never fails, and skips empty lines.

    Each thread has its own line, since `print` writes a line in several pieces.

    Args:
        take: called with each line.
        descriptor: the result of `fileno`, for programs that are started with this stream.
    """

    # Libraries read these attributes of a standard stream, some of them while they are imported.
    name = "<lines>"
    mode = "w"
    line_buffering = True
    write_through = True

    def __init__(self, take: Callable[[str], object], descriptor: int) -> None:
        super().__init__()
        self._take = take
        self._descriptor = descriptor
        self._begun = _Begun()
        self.buffer = _Bytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """The stream for bytes."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # as above
        """How encoding errors are handled: text is never encoded here."""
        return "backslashreplace"

    def write(self, text: str, /) -> int:
        """Accepts a piece of text."""
        *lines, rest = (self._begun.text + text).split("\n")
        while len(rest) > LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._begun.text = rest
        for line in lines:
            if line := line.rstrip():
                # Callers of `print` do not expect it to fail.
                with contextlib.suppress(Exception):
                    self._take(line)
        return len(text)

    def reconfigure(self, **_options: object) -> None:
        """Does nothing: encoding and buffering do not affect lines."""

    def end(self) -> None:
        """Passes on what this thread has written without a line break."""
        if self._begun.text:
            self.write("\n")

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._descriptor

    def isatty(self) -> bool:
        """Always false: progress bars and colours do not belong in a log."""
        return False


class _Bytes(io.RawIOBase):
    """The stream for callers that write bytes."""

    name = LineStream.name
    mode = "wb"

    def __init__(self, text: LineStream) -> None:
        super().__init__()
        self._text = text

    def write(self, data: Any, /) -> int:
        """Accepts a piece of text in UTF-8."""
        taken = bytes(data)
        self._text.write(taken.decode("utf-8", "backslashreplace"))
        return len(taken)

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._text.fileno()
