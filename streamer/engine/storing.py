"""One request into the store, or what was there before it."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import structs

from streamer.contracts.stores import Existing, RequestStore
from streamer.core.messages import Request
from streamer.engine import refusals


async def store(queue: RequestStore, request: Request) -> tuple[bool, bool]:
    """Stores the request.

    Returns whether the same request was sent before and has ended, and whether the request is new.

    Raises:
        Error: CONFLICT: another request has its id. OVERLOADED: as the store says.
        StoreError: it could not be stored.
    """
    storing = queue.enqueue(request)
    # However many wait for a slow disk: from when it is encoded for the store, nothing here keeps the payload.
    request = structs.replace(request, payload=None)
    return await stored(request, storing)


async def stored(request: Request, storing: Awaitable[Existing | None]) -> tuple[bool, bool]:
    """As `store`, of a request that is being stored."""
    existing = await storing
    if existing is None:
        return False, True
    if not existing.same:
        raise refusals.id_taken(request, existing.request)
    return existing.request.terminal, False
