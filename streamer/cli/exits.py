"""Exit statuses. Scripts rely on them, so they change only with a major version."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
FAILED: Final = 1
"""The command failed: problems in the file, a failed request and so on."""
USAGE: Final = 2
NOT_CONNECTED: Final = 3
CONNECTION_LOST: Final = 4
TIMED_OUT: Final = 5
INVALID: Final = 6
UNKNOWN: Final = 7
BUSY: Final = 8
NOT_ALLOWED: Final = 9
CANCELLED: Final = 10
FAULT: Final = 70
"""An unexpected error; sysexits.h gives this number to software errors."""
INTERRUPTED: Final = 130
"""128 + SIGINT: the status that a shell reports for a program ended by Ctrl-C."""
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: the reader of the output closed it."""

_BY_CODE: Final = {
    "TIMEOUT": TIMED_OUT,
    "VALIDATION_ERROR": INVALID,
    "INVALID_ACTION": UNKNOWN,
    "NOT_FOUND": UNKNOWN,
    "RATE_LIMITED": BUSY,
    "OVERLOADED": BUSY,
    "UNAUTHORIZED": NOT_ALLOWED,
    "FORBIDDEN": NOT_ALLOWED,
    "CANCELLED": CANCELLED,
}

OF_A_CALL: Final = (
    (SUCCESS, "the request succeeded"),
    (FAILED, "the request failed: INTERNAL_ERROR, CONFLICT, an error code of the handler, or success: false"),
    (USAGE, "wrong usage: an option, the payload's JSON, the configuration file"),
    (NOT_CONNECTED, "cannot connect: nothing listens there, or the service refused the connection"),
    (CONNECTION_LOST, "the connection was lost before the outcome; a queued request continues without it"),
    (TIMED_OUT, "--timeout ran out (a queued request continues), or the service answered TIMEOUT"),
    (INVALID, "VALIDATION_ERROR: the payload or the message is invalid"),
    (UNKNOWN, "INVALID_ACTION or NOT_FOUND: no such action, or the request named in the payload does not exist"),
    (BUSY, "RATE_LIMITED or OVERLOADED: try again later"),
    (NOT_ALLOWED, "UNAUTHORIZED or FORBIDDEN"),
    (CANCELLED, "CANCELLED: the owner or an operator cancelled the request"),
    (INTERRUPTED, "interrupted by Ctrl-C"),
)
"""The section about exit statuses of `streamer call --help`."""


def of_code(code: str) -> int:
    """The exit status of a request that ended with this error code."""
    return _BY_CODE.get(code, FAILED)
