"""Logs: for people on a terminal, JSON bytes otherwise. Configured once, when the service starts."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson
import structlog

from streamer.config.hiding import hide
from streamer.core.current import current_request

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(
    level: str = "info", form: str = "auto", stream: Any = None, secrets: AbstractSet[str] = frozenset()
) -> Any:
    """Sets up structlog and returns the service's logger.

    Args:
        level: debug, info, warning or error; what lies below costs next to nothing.
        form: `json`, `console`, or `auto`: console when the stream is a terminal.
        stream: where lines go; standard error when left out, so that standard output stays free for results.
        secrets: texts that never appear in a line, tracebacks included.
    """
    stream = sys.stderr if stream is None else stream
    console = form == "console" or (form == "auto" and stream.isatty())
    shared: list[Any] = [structlog.contextvars.merge_contextvars, _name_request, structlog.processors.add_log_level]
    if secrets or console:
        # Written out here, and not by the console's own renderer, which would show what the frames hold: tokens too.
        shared.append(structlog.processors.format_exc_info)
    if secrets:
        shared.append(lambda _logger, _method, event: hide(event, secrets))
    if console:
        structlog.configure(
            processors=[
                *shared,
                _tame,
                structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
                structlog.dev.ConsoleRenderer(
                    colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.PrintLoggerFactory(stream),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[
                *shared,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            logger_factory=structlog.BytesLoggerFactory(getattr(stream, "buffer", stream)),
            cache_logger_on_first_use=True,
        )
    logger = structlog.get_logger()
    _forward(logger, LEVELS[level])
    return logger


def _name_request(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Request, connection and action of the line, unless it says so itself."""
    request = current_request.get()
    if request is not None:
        event.setdefault("request_id", request.id)
        event.setdefault("action", request.action)
        event.setdefault("connection_id", request.connection_id)
    return event


def _tame(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What a client sent must neither steer a terminal nor look like a line of its own. Values the renderer quotes."""
    event["event"] = _printable(str(event.get("event", "")))
    if isinstance(trace := event.get("exception"), str):
        event["exception"] = "\n".join("  " + _printable(line) for line in trace.split("\n"))
    return event


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _dumps(value: Any, **_: Any) -> bytes:
    # A log line must come out whatever is in it: what orjson cannot say is written as text.
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Half a surrogate pair, a number beyond 64 bits, a tuple for a key.
        plain = {str(key): item if isinstance(item, str) else repr(item) for key, item in value.items()}
        return json.dumps(plain).encode()


class _Forwarding(logging.Handler):
    """Hands what libraries log through the standard library to the same place."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - whatever is wrong with a library's line must not break what it does
            message = f"{record.msg} {record.args}"
        self._logger.log(record.levelno, message, logger=record.name, exc_info=record.exc_info or None)


def _forward(logger: Any, level: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Forwarding)]
    root.addHandler(_Forwarding(logger))
    root.setLevel(max(level, logging.WARNING))
