"""Turns an HTTP answer (status, headers and body) into a Result or an Error. No I/O."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from streamer.core.errors import (
    CONFLICT,
    FORBIDDEN,
    INTERNAL_ERROR,
    NOT_FOUND,
    RATE_LIMITED,
    TIMEOUT,
    UNAUTHORIZED,
    VALIDATION_ERROR,
    Error,
)
from streamer.core.messages import Result
from streamer.handlers.json_lines import ErrorLine
from streamer.handlers.logs import clean

RETRY_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

_CODES: Final = {
    400: VALIDATION_ERROR,
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    408: TIMEOUT,
    409: CONFLICT,
    422: VALIDATION_ERROR,
    429: RATE_LIMITED,
    504: TIMEOUT,
}
_STREAMED: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl"})
_SHOWN: Final = 500
_REDIRECTS: Final = range(300, 400)
_TOO_MANY: Final = 429
LONGEST_WAIT: Final = 86400.0
"""Seconds; longer waits that an endpoint requests are shortened to a day."""
_DIGITS: Final = 10
_USUAL_WAIT: Final = 1000
"""Milliseconds; RATE_LIMITED always includes a wait."""


class _ErrorBody(msgspec.Struct):
    error: ErrorLine


_decode_error: Final = msgspec.json.Decoder(_ErrorBody).decode


def is_streamed(content_type: str) -> bool:
    """Whether the body consists of JSON lines with progress and an outcome."""
    return _media_type(content_type) in _STREAMED


def success(body: bytes, content_type: str) -> Result:
    """The result of a 2xx answer: its JSON, null when it is empty, `{"body": text, "content_type": …}` otherwise.

    Raises:
        Error: INTERNAL_ERROR when its content type is JSON, but its body is not.
    """
    if not body.strip():
        return Result()
    media_type = _media_type(content_type)
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return Result(data=msgspec.json.decode(body))
        except (ValueError, RecursionError) as problem:
            error = Error(INTERNAL_ERROR, "The endpoint's answer has the content type JSON, but is not JSON")
            error.add_note(f"{problem}: {clean(body, _SHOWN)}")
            raise error from problem
    return Result(data={"body": body.decode(errors="replace"), "content_type": content_type})


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, now: float, retryable: bool) -> Error:
    """The error of any other answer.

    Args:
        status: its status.
        headers: its headers, case-insensitive.
        body: `{"error": {"code": …, "message": …}}` is used as the error; anything else is only logged, as a note.
        now: seconds since 1970 UTC, for a `Retry-After` that is a date.
        retryable: whether this status is retryable; a body with its own value has precedence.
    """
    details: dict[str, Any] = {"status": status}
    wait = _retry_after(headers.get("Retry-After"), now)
    if wait is not None:
        details["retry_after_ms"] = wait
    elif status == _TOO_MANY:
        details["retry_after_ms"] = _USUAL_WAIT
    try:
        said = _decode_error(body).error
    except (ValueError, RecursionError):
        error = Error(
            _CODES.get(status, INTERNAL_ERROR),
            f"The endpoint answered with status {status}",
            details,
            retryable=retryable,
        )
        if status in _REDIRECTS:
            error.add_note(f"redirects are not followed; this one points to {headers.get('Location')!r}")
        elif body:
            error.add_note(f"the endpoint's answer: {clean(body, _SHOWN)}")
        return error
    return Error(
        said.code,
        said.message,
        {**details, **said.details, "status": status},
        retryable=retryable if said.retryable is None else said.retryable,
    )


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _retry_after(value: str | None, now: float) -> int | None:
    """Milliseconds of RFC 9110's Retry-After: whole seconds, or a date. Never more than `LONGEST_WAIT`."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # Python refuses to convert very long numbers; this many digits exceed the limit in any case.
        digits = value.lstrip("0")[:_DIGITS]
        seconds = float(digits or 0)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
            return None
    return math.ceil(min(max(0.0, seconds), LONGEST_WAIT) * 1000)
