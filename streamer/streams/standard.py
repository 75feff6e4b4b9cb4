"""What a process does to its standard streams before anything else, and a service before it runs foreign code."""

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
"""Seconds that the end of a process waits for a reader of its log."""

_sink: Sink | None = None
_whole_process = False
"""Whether the command line has the process for itself: in a test, or inside of another program, it has not."""


def reopen() -> None:
    """Puts /dev/null where the process was started without a standard stream (`<&-`, `>&-`, `2>&-`).

    Otherwise the next file or socket to be opened would get its number, and whatever writes to standard error would
    write into the database. Call it first of all.
    """
    for descriptor, name, mode in ((STDIN, "stdin", "r"), (STDOUT, "stdout", "w"), (STDERR, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            _put_nothing_at(descriptor)
        if getattr(sys, name) is None:
            # The interpreter found none, and `print` and others take that for no stream at all.
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - it stays as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _put_nothing_at(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing == descriptor:
        # Programs that are started from here need it as well.
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's shape
    else:
        os.dup2(nothing, descriptor)
        os.close(nothing)


def keep_stdout() -> None:
    """Keeps standard output for `sys.stdout` alone.

    What writes to the descriptor itself, such as an extension in C or a program that is started, writes to standard
    error from now on.
    """
    global _whole_process  # noqa: PLW0603 - there is one process
    _whole_process = True
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = open(  # noqa: SIM115, PTH123 - it stays as long as the process
        kept, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, buffering=1 if os.isatty(kept) else -1
    )


def has_whole_process() -> bool:
    """Whether nobody else uses standard output before or after the command."""
    return _whole_process


def give_back_stdout() -> None:
    """Undoes `keep_stdout`: for code that may use standard output as it likes."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(sys.stdout.fileno(), STDOUT)


def stderr_sink() -> Sink:
    """The one sink of this process's standard error. The end of the process waits a moment for what is left in it."""
    global _sink  # noqa: PLW0603 - there is one standard error
    if _sink is None:
        _sink = Sink(STDERR)
        atexit.register(_sink.flush, FLUSH)
    return _sink


def capture(stdout: Callable[[str], object], stderr: Callable[[str], object]) -> None:
    """From now on what is printed goes line by line to these, which must neither wait nor fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.stdout, sys.stderr = streams = LineStream(stdout, STDERR), LineStream(stderr, STDERR)
    for stream in streams:
        atexit.register(stream.end)


def guard_service() -> None:
    """`print_to_stderr` where the process is ours: what a service, and a plugin in it, prints must not hold it up."""
    if _whole_process:
        print_to_stderr()


def print_to_stderr() -> None:
    """From now on what is printed goes to standard error, without waiting for a reader or failing with it."""
    sink = stderr_sink()

    def take(line: str) -> None:
        sink.write(line.encode("utf-8", "backslashreplace") + b"\n")

    capture(take, take)
