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


MAX_HISTORY: Final = 32
"""How many attempts a record remembers: the newest."""
