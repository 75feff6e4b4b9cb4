"""Logs: text for people on a terminal, JSON bytes otherwise. Configured once, when the service starts.

Logging neither waits nor raises, even if nothing reads the log, and whatever a line contains.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from streamer.config.redaction import hide
from streamer.core.foreign_code import safe_text
from streamer.runtime.lean_structlog import structlog
from streamer.runtime.log_lines import logger_class, own_line, prepare, tame, to_json
from streamer.streams.sink import Sink
from streamer.streams.standard import STDERR, capture, stderr_sink

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    level: str = "info", form: str = "auto", stream: Any = None, secrets: AbstractSet[str] = frozenset()
) -> Any:
    """Configures structlog and returns the service's logger.

    Args:
        level: debug, info, warning or error; lines below it cost almost nothing.
        form: `json`, `console`, or `auto`: console when the stream is a terminal.
        stream: for the lines; by default standard error, so that standard output is free for results.
        secrets: texts that never appear in a line, including tracebacks.
    """
    stream = sys.stderr if stream is None else stream
    terminal = os.isatty(STDERR) if _is_stderr(stream) else stream.isatty()
    console = form == "console" or (form == "auto" and terminal)
    write = _writer(stream, console=console)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        prepare,
    ]
    if secrets:
        shared.append(lambda _logger, _method, event: hide(event, secrets))

    def unwritten(event: str, problem: BaseException) -> None:
        write(
            own_line(
                "a log line could not be made",
                "error",
                console=console,
                line=hide(event, secrets),
                error=type(problem).__name__,
            )
        )

    renderers: list[Any]
    if console:
        renderers = [
            tame,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback),
            lambda _logger, _method, line: line.encode("utf-8", "backslashreplace") + b"\n",
        ]
    else:
        renderers = [to_json]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=logger_class(LEVELS[level], unwritten),
        logger_factory=lambda *_: _Lines(write),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger()
    _forward(logger, LEVELS[level])
    return logger


@contextlib.contextmanager
def take_over(logger: Any) -> Iterator[None]:
    """Within this context, prints and exceptions that end threads become lines of the log.

    For a process that serves: a plugin's `print` would wait for a reader of standard output, or fail without one.
    """
    before = sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook
    capture(lambda line: logger.info(line, stream="stdout"), lambda line: logger.warning(line, stream="stderr"))

    def uncaught(what: str, problem: BaseException | None) -> None:
        logger.error(what, exc_info=problem)

    threading.excepthook = lambda seen: uncaught("a thread ended with an exception", seen.exc_value)
    sys.unraisablehook = lambda seen: uncaught(seen.err_msg or "an exception was ignored", seen.exc_value)
    try:
        yield
    finally:
        sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook = before


class _Lines:
    """structlog's output: whole lines, whatever their level."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = write
        self.critical = self.exception = self.fatal = self.warn = self.log = write


def _writer(stream: Any, *, console: bool) -> Callable[[bytes], object]:
    """Writes lines to the stream, and never fails."""
    if _is_stderr(stream):
        sink: Sink = stderr_sink()
        sink.notice = lambda count: own_line("log lines were dropped", "warning", console=console, count=count)
        return sink.write

    target = getattr(stream, "buffer", stream)

    def write(line: bytes) -> None:
        # It may be any stream, such as the one of a function's platform.
        with contextlib.suppress(Exception):
            try:
                target.write(line)
            except TypeError:
                stream.write(line.decode("utf-8", "backslashreplace"))
            stream.flush()

    return write


def _is_stderr(stream: Any) -> bool:
    """Whether it is the process's own standard error: a platform or a test may have replaced it."""
    try:
        return stream is sys.stderr and stream.fileno() == STDERR
    except (OSError, ValueError, AttributeError):
        return False


class _Forwarding(logging.Handler):
    """Passes on log lines of libraries that use the standard library."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except BaseException:  # noqa: BLE001 - whatever is wrong with a library's line must not break what it does
            message = f"{safe_text(record.msg)} {safe_text(record.args)}"
        self._logger.log(record.levelno, message, logger=record.name, exc_info=record.exc_info or None)


def _forward(logger: Any, level: int) -> None:
    # Failing handlers of libraries must not write tracebacks between the lines, or fail again in doing so.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Forwarding)]
    root.addHandler(_Forwarding(logger))
    root.setLevel(max(level, logging.WARNING))
