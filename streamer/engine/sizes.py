"""Ensures that no message of the service is larger than clients accept. Pure functions.

The limit is `service.max_result_size`. A larger result ends its request with an error for the client; the operator also
gets the fix. Errors and progress reports that are too large are shortened.
"""

from __future__ import annotations

from typing import Final

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.messages import ErrorBody, ProgressUpdate
from streamer.engine.codec import encode_json

MAX_RESULT_SIZE: Final = 8 * 1024 * 1024
"""The default maximum of a result in bytes: half of what the clients accept."""
ENVELOPE: Final = 2048
"""Additional bytes of a message with a result: ids, a timestamp."""
_CUT: Final = 1000
"""Characters that are kept of a text that is too long."""


def result_too_large(size: int, limit: int) -> Error:
    """The error of a handler whose result is too large."""
    error = Error(
        INTERNAL_ERROR,
        f"The result is too large to be sent: it has {size:,} bytes, and this service sends at most {limit:,}",
        {"size": size, "limit": limit},
    )
    error.add_note(
        f"the result is too large: {size:,} bytes of JSON exceed the {limit:,} of service.max_result_size; "
        "let the handler store it and return its address, or raise the setting and the clients' own limits"
    )
    return error


def fitting(body: ErrorBody, limit: int) -> ErrorBody:
    """The error without its details, and with a shortened message, if they are too large."""
    size = len(encode_json(body))
    if size <= limit:
        return body
    return ErrorBody(
        body.code[:_CUT], _cut(body.message), body.retryable, {"left_out": f"details and text of {size:,} bytes"}
    )


def fit_message(update: ProgressUpdate, limit: int) -> bool:
    """Shortens a report's message if it is too long. Returns whether it was."""
    # A character needs at most six bytes in JSON.
    if len(update.message) * 6 <= limit:
        return False
    update.message = _cut(update.message)
    return True


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"
