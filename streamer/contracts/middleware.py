"""Middleware, which runs around requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streamer.contracts.handlers import Handler
from streamer.core.messages import Request, Result

Next = Callable[[Request], Awaitable[Result]]
AdmitNext = Callable[[Request], Awaitable[None]]

HandlerMiddleware = Callable[[Handler], Handler]
"""The original's interface: wraps a handler in another one. It runs where `process` runs."""


class Middleware:
    """Middleware with two hooks. A hook that a subclass does not override costs nothing, since it is left out.

    The order is the order in the file, the first one outermost, for both hooks.
    """

    immediate: bool = False
    """True: before its first real suspension neither method needs a current task (no `asyncio.timeout`, TaskGroup or
    anyio), so that a request can be answered without a task.
    """

    service_actions: bool = False
    """True: it also runs around the service's own actions (`streamer.*`)."""

    async def admit(self, request: Request, next: AdmitNext, /) -> None:  # noqa: A002 - the name the original uses
        """Runs when a request is accepted: after validation, before it is answered or queued.

        Raise `Error` to refuse it. It runs once per request, in the process that holds the connection.
        """
        await next(request)

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - as above
        """Runs around the handler: immediately for a direct request, in the worker for a queued one (once per
        attempt).
        """
        return await next(request)
