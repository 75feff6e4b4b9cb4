"""A text stream whose lines go to a function: for `print` and whatever else writes to a standard stream."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable
from typing import Any, Final

LONGEST: Final = 16_384
"""Characters of a line; a longer one is cut into several."""


class _Begun(threading.local):
    """What each thread has written of its line so far."""

    text = ""


class LineStream(io.TextIOBase):
    """Takes text and hands on whole lines, without their line breaks. It never fails, and empty lines are left out.

    Each thread has a line of its own: `print` writes one in several pieces.

    Args:
        take: called with each line.
        descriptor: what `fileno` says, for programs that are started with this stream as theirs.
    """

    # Libraries look at these of a standard stream, some of them while they are imported.
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
        """What `buffer` takes."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # as above
        """What becomes of what cannot be encoded: it is never encoded here."""
        return "backslashreplace"

    def write(self, text: str, /) -> int:
        """Takes a piece of text."""
        *lines, rest = (self._begun.text + text).split("\n")
        while len(rest) > LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._begun.text = rest
        for line in lines:
            if line := line.rstrip():
                # Nobody who prints expects that to fail.
                with contextlib.suppress(Exception):
                    self._take(line)
        return len(text)

    def reconfigure(self, **_options: object) -> None:
        """Does nothing: no encoding and no buffering makes a difference to lines."""

    def end(self) -> None:
        """Hands on what this thread has written without a line break."""
        if self._begun.text:
            self.write("\n")

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor that the stream stands for."""
        return self._descriptor

    def isatty(self) -> bool:
        """Never: progress bars and colours have no place in a log."""
        return False


class _Bytes(io.RawIOBase):
    """The stream for those who write bytes."""

    name = LineStream.name
    mode = "wb"

    def __init__(self, text: LineStream) -> None:
        super().__init__()
        self._text = text

    def write(self, data: Any, /) -> int:
        """Takes a piece of text in UTF-8."""
        taken = bytes(data)
        self._text.write(taken.decode("utf-8", "backslashreplace"))
        return len(taken)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor that the stream stands for."""
        return self._text.fileno()
