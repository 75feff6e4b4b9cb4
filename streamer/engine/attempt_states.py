"""What an attempt does, and why it is stopped."""

from __future__ import annotations

from enum import Enum

from streamer.core.attempts import Outcome
from streamer.core.errors import CANCELLED


class AttemptState(Enum):
    """How far one attempt of a queued request is."""

    STARTING = "starting"
    """Its task has not taken its first step."""
    RUNNING = "running"
    """Its handler runs, or an older attempt of the same request has to end first."""
    WRITING = "writing"
    """Its handler has ended, and its outcome is being written."""
    COMPLETED = "completed"
    """Its result is written."""


class StopReason(Enum):
    """Why an attempt is stopped before its handler has ended. The value is what the log says about the handler."""

    RELEASE = Outcome.RELEASED.value
    """The worker stops: the claim goes back to the queue."""
    LOST = Outcome.LOST.value
    """Another worker has claimed the request: nothing of this attempt is written any more."""
    CANCELLED = CANCELLED
    """The request has ended in the store, and its subscribers are informed by what ended it."""
