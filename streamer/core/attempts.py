"""The attempts that did not complete their request, as a record remembers them."""

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
    """The worker died, or was cut off from the store, for longer than the lease."""
    RELEASED = "released"
    """The worker stopped and gave it back unharmed; it did not count."""
    CANCELLED = "cancelled"
    """The owner or an operator ended the request while it ran."""


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why the handler of an attempt failed, as Python saw it. For operators only: no message to a client holds it."""

    type: str
    """Name of the exception's class."""
    text: str = ""
    traceback: str = ""
    """With the exceptions that caused it and their notes, cut to a few KB; empty where room was short."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt that did not complete its request: when it ran, by whom, and how it ended."""

    fence: int
    """Of its claim; tells attempts apart over all counts of attempts."""
    worker: str
    started_at: float
    ended_at: float
    outcome: Outcome
    error: ErrorBody | None = None
    """What the handler ended with."""
    cause: Cause | None = None


MAX_HISTORY: Final = 32
"""How many attempts a record remembers: the newest."""

MAX_TRACEBACKS: Final = 3
"""How many of them, the newest, keep the traceback of their cause."""


def remembered(history: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """The history with one attempt more, within what a record remembers."""
    kept = history[1 - MAX_HISTORY :]
    older = max(len(kept) - MAX_TRACEBACKS + 1, 0)
    return (*(_without_traceback(one) for one in kept[:older]), *kept[older:], attempt)


def _without_traceback(attempt: Attempt) -> Attempt:
    if attempt.cause is None or not attempt.cause.traceback:
        return attempt
    return msgspec.structs.replace(attempt, cause=msgspec.structs.replace(attempt.cause, traceback=""))


class LastReport(msgspec.Struct, frozen=True):
    """How far an attempt was by its last progress: what its owner was sent last before the outcome."""

    percentage: float
    message: str = ""
    metadata: bytes = b""
    """JSON text; empty for none."""
