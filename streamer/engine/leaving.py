"""What becomes of requests whose follower's connection has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from streamer.contracts.connections import Followers
from streamer.contracts.stores import Key
from streamer.core.errors import StoreError


def leaving(
    followers: Followers, on_left: Callable[[Key, float], Awaitable[None]], logger: Any
) -> Callable[[str], Coroutine[Any, Any, None]]:
    """Notes, for a connection that has ended, which requests it leaves; what cannot be noted is told in the log.

    Args:
        followers: who follows.
        on_left: called for each request that is to end, with the seconds after which it is.
        logger: for what goes wrong.
    """

    async def leave(connection_id: str) -> None:
        try:
            for key, after in await followers.leave(connection_id):
                await on_left(key, after)
        except StoreError as problem:
            logger.warning("an end was not written down", connection_id=connection_id, error=str(problem))

    return leave
