"""A declarative, config-driven service for requests over WebSockets.

The names below are the public ones; each is imported when it is first used, so that `import streamer` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.contracts.auth import Authenticator
    from streamer.contracts.components import BuildContext, Component, Kind, OptionProblem, Stability, handler
    from streamer.contracts.connections import ConnectionManager
    from streamer.contracts.handlers import (
        BaseHandler,
        Handler,
        HandlerFunc,
        HandlerWithProgress,
        ProgressReporter,
        simple_handler,
    )
    from streamer.contracts.middleware import Middleware
    from streamer.contracts.storage import Storage
    from streamer.contracts.stores import RequestQueue, RequestStore
    from streamer.core.errors import Error, StreamerError
    from streamer.core.messages import ProgressUpdate, Request, Result
    from streamer.core.principal import Principal
    from streamer.engine.adapters import RequestQueueAdapter, convert_async_request_to_request
    from streamer.engine.router import Router
    from streamer.handlers.delay import DelayHandler
    from streamer.handlers.echo import EchoHandler
    from streamer.handlers.threads import cancelled
    from streamer.handlers.validation_example import ValidationExampleHandler
    from streamer.middlewares.logging import logging_middleware
    from streamer.plugins.hookspecs import hookimpl
    from streamer.queue.storage_queue import StorageQueue

__version__ = "0.1.0"

_PLACES = {
    "Authenticator": "contracts.auth",
    "BaseHandler": "contracts.handlers",
    "BuildContext": "contracts.components",
    "Component": "contracts.components",
    "ConnectionManager": "contracts.connections",
    "DelayHandler": "handlers.delay",
    "EchoHandler": "handlers.echo",
    "Error": "core.errors",
    "Handler": "contracts.handlers",
    "HandlerFunc": "contracts.handlers",
    "HandlerWithProgress": "contracts.handlers",
    "Kind": "contracts.components",
    "Middleware": "contracts.middleware",
    "OptionProblem": "contracts.components",
    "Principal": "core.principal",
    "ProgressReporter": "contracts.handlers",
    "ProgressUpdate": "core.messages",
    "Request": "core.messages",
    "RequestQueue": "contracts.stores",
    "RequestQueueAdapter": "engine.adapters",
    "RequestStore": "contracts.stores",
    "Result": "core.messages",
    "Router": "engine.router",
    "Stability": "contracts.components",
    "Storage": "contracts.storage",
    "StorageQueue": "queue.storage_queue",
    "StreamerError": "core.errors",
    "ValidationExampleHandler": "handlers.validation_example",
    "cancelled": "handlers.threads",
    "convert_async_request_to_request": "engine.adapters",
    "handler": "contracts.components",
    "hookimpl": "plugins.hookspecs",
    "logging_middleware": "middlewares.logging",
    "simple_handler": "contracts.handlers",
}

# Written out, because a type checker reads it: without the literal list nothing here counts as exported.
__all__ = [
    "Authenticator",
    "BaseHandler",
    "BuildContext",
    "Component",
    "ConnectionManager",
    "DelayHandler",
    "EchoHandler",
    "Error",
    "Handler",
    "HandlerFunc",
    "HandlerWithProgress",
    "Kind",
    "Middleware",
    "OptionProblem",
    "Principal",
    "ProgressReporter",
    "ProgressUpdate",
    "Request",
    "RequestQueue",
    "RequestQueueAdapter",
    "RequestStore",
    "Result",
    "Router",
    "Stability",
    "Storage",
    "StorageQueue",
    "StreamerError",
    "ValidationExampleHandler",
    "__version__",
    "cancelled",
    "convert_async_request_to_request",
    "handler",
    "hookimpl",
    "logging_middleware",
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
