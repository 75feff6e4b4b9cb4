"""The request that is running in the current context, so that every log line of a handler can include it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

current_request: Final[ContextVar[Any]] = ContextVar("streamer_current_request", default=None)
"""The `Request` of the current task or thread; None outside of a request, and in handlers that are answered without a
task.
"""
