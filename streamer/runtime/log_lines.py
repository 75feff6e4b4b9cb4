"""Formats one event of the log as one line: limited in length, and without control characters."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson

from streamer.core.clock import SystemClock, timestamp
from streamer.core.context import current_request
from streamer.core.foreign_code import format_traceback, safe_repr, safe_text
from streamer.core.printable import printable, printable_json, printable_lines
from streamer.runtime.lean_structlog import structlog

LONGEST_FIELD: Final = 8_000
"""Maximum characters of a text in a line; a traceback has its own limit."""
LONGEST_LINE: Final = 64_000
"""Maximum bytes of a line. In a longer one, values become texts of at most `SHORT` characters."""
SHORT: Final = 1_000
MOST_FIELDS: Final = 40
"""In a line that is too long."""

Event = MutableMapping[str, Any]
_now: Final = SystemClock.now
NAMES: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}
_PLAIN: Final = (int, float, bool, type(None))


def prepare(_logger: Any, method: str, event: Event) -> Event:
    """Adds the request, unless the line already names it, and the level; formats `exc_info` as `exception`.

    The values of local variables are not shown: they may be tokens. All in one function, because it runs for each line.
    """
    request = current_request.get()
    if request is not None:
        event.setdefault("request_id", request.id)
        event.setdefault("action", request.action)
        event.setdefault("connection_id", request.connection_id)
    event["level"] = method
    raised = event.pop("exc_info", None)
    if raised:
        if raised is True:
            raised = sys.exc_info()
        if isinstance(raised, tuple):
            raised = raised[1]
        if isinstance(raised, BaseException):
            event["exception"] = format_traceback(raised)
    return event


def tame(_logger: Any, _method: str, event: Event) -> Event:
    """Text from a client must neither control a terminal nor look like a separate line."""
    event["event"] = printable(safe_text(event.get("event", ""), LONGEST_FIELD))
    for name, value in list(event.items()):
        if name == "exception" and isinstance(value, str):
            event[name] = printable_lines("\n".join(f"  {line}" for line in value.split("\n")))
        elif type(value) is str:
            event[name] = value if len(value) <= LONGEST_FIELD else value[:LONGEST_FIELD] + "…"
        elif not _is_plain(value):
            # The renderer quotes strings, but not the representations of other objects.
            event[name] = _Shown(printable(safe_repr(value)))
    return event


def _is_plain(value: object) -> bool:
    """The interpreter refuses to format a number of thousands of digits."""
    return type(value) in _PLAIN and not (type(value) is int and value.bit_length() > 64)  # noqa: PLR2004 - as JSON's encoder has it


class _Shown:
    """A value as it is shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def to_json(_logger: Any, _method: str, event: Event) -> bytes:
    """The line as JSON, with its time and line break. Values that JSON cannot express are written as text."""
    event["timestamp"] = timestamp(_now())
    try:
        line = orjson.dumps(event, safe_repr, _OPTIONS)
    except TypeError:
        # Half a surrogate pair, a number beyond 64 bits, a tuple as a key.
        line = _as_texts(event)
    if len(line) > LONGEST_LINE:
        line = _as_texts(event, SHORT)
    return printable_json(line)


_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE


def _as_texts(event: Event, longest: int = LONGEST_FIELD) -> bytes:
    fields = list(event.items())[:MOST_FIELDS]
    texts = {safe_text(name, SHORT): value if _is_plain(value) else _as_text(value, longest) for name, value in fields}
    return json.dumps(texts, default=safe_repr).encode() + b"\n"


def _as_text(value: Any, longest: int) -> str:
    return safe_text(value, longest) if isinstance(value, str) else safe_repr(value, longest)


def own_line(event: str, level: str, *, console: bool, **fields: Any) -> bytes:
    """A line about the log itself, with its line break, without the parts that may have failed in other lines."""
    if console:
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{timestamp(SystemClock.now())} [{level}] {event} {shown}\n".encode("utf-8", "backslashreplace")
    line = {"event": event, "level": level, **fields, "timestamp": timestamp(SystemClock.now())}
    return printable_json(json.dumps(line).encode()) + b"\n"


def logger_class(least: int, unwritten: Callable[[str, BaseException], None]) -> type:
    """A class of structlog's loggers whose methods never raise.

    Args:
        least: the minimum level that is written, as a number of the standard library.
        unwritten: called with the event whose line could not be formatted, and with the reason.
    """

    def writing(method: str) -> Any:
        def call(self: Any, event: Any = "", *arguments: Any, **fields: Any) -> None:
            try:
                if arguments:
                    event = event % (arguments[0] if isinstance(arguments[0], Mapping) else arguments)
                self._proxy_to_logger(method, event, **fields)
            except BaseException as problem:  # noqa: BLE001 - the values of a line may run any code when they are shown
                unwritten(safe_text(event, SHORT), problem)

        return call

    def quiet(_self: Any, *_arguments: Any, **_fields: Any) -> None:
        """Below the minimum level."""

    methods = {name: writing(name) if level >= least else quiet for level, name in NAMES.items()}

    def log(self: Any, level: int, event: Any = "", *arguments: Any, **fields: Any) -> None:
        # A level between the known ones counts as the lower one.
        known = max((one for one in NAMES if one <= level), default=logging.DEBUG) if isinstance(level, int) else least
        methods[NAMES[known]](self, event, *arguments, **fields)

    def exception(self: Any, event: Any = "", *arguments: Any, **fields: Any) -> None:
        methods["error"](self, event, *arguments, **{"exc_info": True, **fields})

    others = {"log": log, "exception": exception, "warn": methods["warning"], "msg": methods["info"]}
    others["fatal"] = methods["critical"]
    return type("Logger", (structlog.make_filtering_bound_logger(least),), methods | others)
