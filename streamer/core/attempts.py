"""The history of a record: the attempts that did not complete the request."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from streamer.core.messages import ErrorBody


class Outcome(enum.StrEnum):
    """How an attempt ended that did not complete its request."""

    FAILED = "failed"
    """The handler ended with an error."""
    LOST = "lost"
    """The worker died, or could not reach the store, for longer than the lease."""
    RELEASED = "released"
    """The worker stopped and returned the request unchanged; the attempt did not count."""
    CANCELLED = "cancelled"
    """The owner or an operator cancelled the request while it ran."""


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The exception that made an attempt fail. For operators only: it is never sent to a client."""

    type: str
    """Name of the exception's class."""
    text: str = ""
    traceback: str = ""
    """The traceback, with the causes and notes of the exception, limited to a few KB; empty where space was short."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt that did not complete its request: when and where it ran, and how it ended."""

    fence: int
    """Of its claim; unique over all counts of attempts."""
    worker: str
    started_at: float
    ended_at: float
    outcome: Outcome
    error: ErrorBody | None = None
    """The error of the handler."""
    cause: Cause | None = None


MAX_HISTORY: Final = 32
"""How many attempts a record keeps: the newest ones."""

MAX_TRACEBACKS: Final = 3
"""How many of the newest attempts keep the traceback of their cause."""


def remembered(history: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """The history with another attempt, within the limits of a record."""
    kept = history[1 - MAX_HISTORY :]
    older = max(len(kept) - MAX_TRACEBACKS + 1, 0)
    return (*(_without_traceback(one) for one in kept[:older]), *kept[older:], attempt)


def _without_traceback(attempt: Attempt) -> Attempt:
    if attempt.cause is None or not attempt.cause.traceback:
        return attempt
    return msgspec.structs.replace(attempt, cause=msgspec.structs.replace(attempt.cause, traceback=""))


class LastReport(msgspec.Struct, frozen=True):
    """The last progress of an attempt: what its owner received last before the outcome."""

    percentage: float
    message: str = ""
    metadata: bytes = b""
    """JSON text; empty without metadata."""
