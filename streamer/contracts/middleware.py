"""What happens around a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from streamer.contracts.handlers import Handler
from streamer.core.messages import Request, Result

Next = Callable[[Request], Awaitable[Result]]
AdmitNext = Callable[[Request], Awaitable[None]]

HandlerMiddleware = Callable[[Handler], Handler]
"""The original's shape: wraps a handler in another. It runs where `process` runs."""


class Middleware:
    """Two places to stand. What a subclass does not override costs nothing: it is left out of the composition.

    The order is the order in the file, first listed outermost, in both places.
    """

    immediate: bool = False
    """True promises that before its first real suspension neither method needs a current task (no
    `asyncio.timeout`, no TaskGroup, no anyio); the request may then be answered without a task."""

    service_actions: bool = False
    """True lets it stand before the service's own actions (`streamer.*`) too."""

    async def admit(self, request: Request, next: AdmitNext, /) -> None:  # noqa: A002 - the name the original uses
        """At admission, before the request is answered or queued, after it was validated.

        Raise `Error` to refuse it. It runs once per request, on the connection's side.
        """
        await next(request)

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - as above
        """Around the handler: at once for a request that is answered directly, in the worker for a queued one
        (once per attempt).
        """
        return await next(request)
