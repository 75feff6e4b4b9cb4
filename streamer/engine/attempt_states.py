"""The states of an attempt, and the reasons for stopping it."""

from __future__ import annotations

from enum import Enum

from streamer.core.attempts import Outcome
from streamer.core.errors import CANCELLED


class AttemptState(Enum):
    """The state of one attempt of a queued request."""

    STARTING = "starting"
    """Its task has not started."""
    RUNNING = "running"
    """Its handler runs, or it waits for an older attempt of the same request to end."""
    WRITING = "writing"
    """Its handler has ended, and its outcome is being stored."""
    COMPLETED = "completed"
    """Its result is stored."""


class StopReason(Enum):
    """Why an attempt is stopped before its handler has ended. The value appears in the log."""

    RELEASE = Outcome.RELEASED.value
    """The worker stops: the claim returns to the queue."""
    LOST = Outcome.LOST.value
    """Another worker has claimed the request: this attempt writes nothing more."""
    CANCELLED = CANCELLED
    """The request has ended in the store; its subscribers get the outcome from whatever ended it."""
