"""Prepares the standard streams of a process, before anything else is opened and before foreign code runs."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

from streamer.streams.lines import LineStream
from streamer.streams.sink import Sink

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
FLUSH: Final = 1.0
"""Seconds that the process waits at its end for a slow reader of its log."""

_sink: Sink | None = None
_whole_process = False
"""Whether the command line owns the process; inside a test, or in another program, it does not."""


def reopen() -> None:
    """Opens /dev/null in place of a missing standard stream (`<&-`, `>&-`, `2>&-`).

    Otherwise the next file or socket would get its number, and text for standard error could be written into the
    database. Must be called first.
    """
    for descriptor, name, mode in ((STDIN, "stdin", "r"), (STDOUT, "stdout", "w"), (STDERR, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            _put_nothing_at(descriptor)
        if getattr(sys, name) is None:
            # The interpreter found none, and `print` and others then see no stream at all.
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - it stays as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _put_nothing_at(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing == descriptor:
        # Programs that are started from here need it too.
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's shape
    else:
        os.dup2(nothing, descriptor)
        os.close(nothing)


def keep_stdout() -> None:
    """Reserves standard output for `sys.stdout`.

    Everything that writes to the descriptor itself, such as an extension in C or a started program, then writes to
    standard error.
    """
    global _whole_process  # noqa: PLW0603 - there is one process
    _whole_process = True
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = open(  # noqa: SIM115, PTH123 - it stays as long as the process
        kept, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, buffering=1 if os.isatty(kept) else -1
    )


def has_whole_process() -> bool:
    """Whether only the command uses standard output."""
    return _whole_process


def give_back_stdout() -> None:
    """Undoes `keep_stdout`: for code that may use standard output."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(sys.stdout.fileno(), STDOUT)


def stderr_sink() -> Sink:
    """The single sink of this process's standard error. At its end, the process waits a moment for buffered lines."""
    global _sink  # noqa: PLW0603 - there is one standard error
    if _sink is None:
        _sink = Sink(STDERR)
        atexit.register(_sink.flush, FLUSH)
    return _sink


def capture(stdout: Callable[[str], object], stderr: Callable[[str], object]) -> None:
    """Redirects printed lines to these functions, which must neither wait nor fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.stdout, sys.stderr = streams = LineStream(stdout, STDERR), LineStream(stderr, STDERR)
    for stream in streams:
        atexit.register(stream.end)


def guard_service() -> None:
    """`print_to_stderr` where we own the process: what a service, and a plugin in it, prints must not block it."""
    if _whole_process:
        print_to_stderr()


def print_to_stderr() -> None:
    """Redirects printed text to standard error, without waiting for a reader or failing."""
    sink = stderr_sink()

    def take(line: str) -> None:
        sink.write(line.encode("utf-8", "backslashreplace") + b"\n")

    capture(take, take)
