"""The request that runs here: so that every log line of a handler says whose it is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

current_request: Final[ContextVar[Any]] = ContextVar("streamer_current_request", default=None)
"""The `Request` of the task or thread that reads it; None outside of a request, and in handlers that are answered
without a task."""
