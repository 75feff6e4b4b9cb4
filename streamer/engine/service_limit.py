"""Limits the service's own actions (`streamer.*`) that one owner uses at the same time."""

from __future__ import annotations

import asyncio
from typing import Final

from streamer.contracts.middleware import Middleware, Next
from streamer.core.errors import ConnectionGone
from streamer.core.messages import Request, Result
from streamer.engine import refusals
from streamer.engine.delivery import Delivery

DEFAULT_LIMIT: Final = 256
"""Maximum concurrent service actions of one owner."""
AT_ONCE: Final = 4
"""How many of them are processed at the same time; the others wait, which needs very little memory."""
_OWN_PACE: Final = frozenset({"streamer.resume"})
"""Sends many messages, each when the client has received the previous one, and may take long for a slow client."""
_SMALL: Final = frozenset({"streamer.cancel"})
"""Its answer need not wait until the client has received others."""


class _Owner:
    """The service actions of one owner in progress."""

    __slots__ = ("slots", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.slots = asyncio.Semaphore(AT_ONCE)


class ServiceActionLimit(Middleware):
    """Processes a few service actions of one owner at a time. Those with large answers are processed one at a time for
    each connection, when its client has received everything before. More than the limit is RATE_LIMITED.

    Args:
        delivery: knows which connections are behind.
        limit: of one owner, including waiting ones.
    """

    immediate = True

    def __init__(self, delivery: Delivery, limit: int = DEFAULT_LIMIT) -> None:
        self._delivery = delivery
        self._limit = limit
        self._owners: dict[str, _Owner] = {}

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - the contract's name
        owner = self._owners.get(request.owner)
        if owner is None:
            owner = self._owners[request.owner] = _Owner()
        elif owner.under_way >= self._limit:
            raise refusals.too_many_service_actions(self._limit)
        owner.under_way += 1
        try:
            if request.action in _OWN_PACE:
                return await next(request)
            if request.action in _SMALL:
                async with owner.slots:
                    return await next(request)
            async with self._delivery.turn(None, request.connection_id), owner.slots:
                return await next(request)
        except ConnectionGone:
            # The connection has ended, so no answer is needed.
            return Result()
        finally:
            owner.under_way -= 1
            if not owner.under_way:
                del self._owners[request.owner]
