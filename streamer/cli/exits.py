"""Exit statuses. Scripts rely on them: they change only with a major version."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
FAILED: Final = 1
"""The command could not do what it was asked: problems in the file, a request that failed, …"""
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
"""An error that nobody expected; the number that sysexits.h gives to software errors."""
INTERRUPTED: Final = 130
"""128 + SIGINT, as a shell reports a program that Ctrl-C ended."""
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: whoever read the output has gone."""

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
    (FAILED, "the request failed: INTERNAL_ERROR, CONFLICT, a code of the handler's own, or success: false"),
    (USAGE, "wrong usage: an option, the payload's JSON, the configuration file"),
    (NOT_CONNECTED, "no connection: nothing listens there, or it was refused"),
    (CONNECTION_LOST, "the connection was lost before the outcome; a queued request goes on without it"),
    (TIMED_OUT, "--timeout ran out (a queued request goes on), or the service answered TIMEOUT"),
    (INVALID, "VALIDATION_ERROR: the payload or the message is wrong"),
    (UNKNOWN, "INVALID_ACTION or NOT_FOUND: no such action, or not what the payload names"),
    (BUSY, "RATE_LIMITED or OVERLOADED: try again later"),
    (NOT_ALLOWED, "UNAUTHORIZED or FORBIDDEN"),
    (CANCELLED, "CANCELLED: the owner or an operator ended the request"),
    (INTERRUPTED, "interrupted by Ctrl-C"),
)
"""What `streamer call --help` says about them."""


def of_code(code: str) -> int:
    """The exit status of a request that ended with this error code."""
    return _BY_CODE.get(code, FAILED)
