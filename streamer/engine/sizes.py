"""No message of the service is larger than clients take. Pure.

The limit is `service.max_result_size`. A result over it ends its request with an error that says so to the client and,
with what to do about it, to the operator; of an error or a report of progress what is too much is left out.
"""

from __future__ import annotations

from typing import Final

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.messages import ErrorBody, ProgressUpdate
from streamer.engine.codec import encode_json

MAX_RESULT_SIZE: Final = 8 * 1024 * 1024
"""Bytes of one result, when nothing else is said: half of what the clients take."""
ENVELOPE: Final = 2048
"""Bytes that a message may have besides its result: ids, a timestamp."""
_CUT: Final = 1000
"""Characters that stay of a text that is too long."""


def result_too_large(size: int, limit: int) -> Error:
    """The error of a handler that returned more than a message may hold."""
    error = Error(
        INTERNAL_ERROR,
        f"The result is too large to be sent: it has {size:,} bytes, and this service sends at most {limit:,}",
        {"size": size, "limit": limit},
    )
    error.add_note(
        f"the result is too large: {size:,} bytes of JSON, over the {limit:,} of service.max_result_size; "
        "let the handler store it and return its address, or raise the setting and the clients' own limits"
    )
    return error


def fitting(body: ErrorBody, limit: int) -> ErrorBody:
    """The error without its details, and with a shortened message, where they are too large to be sent."""
    size = len(encode_json(body))
    if size <= limit:
        return body
    return ErrorBody(
        body.code[:_CUT], _cut(body.message), body.retryable, {"left_out": f"details and text of {size:,} bytes"}
    )


def fit_message(update: ProgressUpdate, limit: int) -> bool:
    """Shortens a report's message where it is too long. Returns whether it was."""
    # A character takes six bytes of JSON at most.
    if len(update.message) * 6 <= limit:
        return False
    update.message = _cut(update.message)
    return True


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"
