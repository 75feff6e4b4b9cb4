"""A declarative, config-driven service for requests over WebSockets.

The names below are the public ones; each is imported when it is first used, so that `import streamer` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.contracts.components import BuildContext, Component, Kind, Stability, handler
    from streamer.contracts.handlers import (
        BaseHandler,
        Handler,
        HandlerFunc,
        HandlerWithProgress,
        ProgressReporter,
        simple_handler,
    )
    from streamer.contracts.middleware import Middleware
    from streamer.core.errors import Error, StreamerError
    from streamer.core.messages import ProgressUpdate, Request, Result
    from streamer.handlers.threads import cancelled
    from streamer.plugins.hookspecs import hookimpl

__version__ = "0.1.0"

_PLACES = {
    "BaseHandler": "contracts.handlers",
    "BuildContext": "contracts.components",
    "Component": "contracts.components",
    "Error": "core.errors",
    "Handler": "contracts.handlers",
    "HandlerFunc": "contracts.handlers",
    "HandlerWithProgress": "contracts.handlers",
    "Kind": "contracts.components",
    "Middleware": "contracts.middleware",
    "ProgressReporter": "contracts.handlers",
    "ProgressUpdate": "core.messages",
    "Request": "core.messages",
    "Result": "core.messages",
    "Stability": "contracts.components",
    "StreamerError": "core.errors",
    "cancelled": "handlers.threads",
    "handler": "contracts.components",
    "hookimpl": "plugins.hookspecs",
    "simple_handler": "contracts.handlers",
}

# Written out, because a type checker reads it: without the literal list nothing here counts as exported.
__all__ = [
    "BaseHandler",
    "BuildContext",
    "Component",
    "Error",
    "Handler",
    "HandlerFunc",
    "HandlerWithProgress",
    "Kind",
    "Middleware",
    "ProgressReporter",
    "ProgressUpdate",
    "Request",
    "Result",
    "Stability",
    "StreamerError",
    "__version__",
    "cancelled",
    "handler",
    "hookimpl",
    "simple_handler",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'streamer' has no attribute {name!r}")
    value = getattr(import_module(f"streamer.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
