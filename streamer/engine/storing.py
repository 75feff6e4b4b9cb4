"""One request into the store, or what was there before it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from streamer.contracts.stores import Existing, RequestStore
from streamer.core.messages import Request
from streamer.engine import refusals


def begin_storing(queue: RequestStore, request: Request) -> Awaitable[Existing | None]:
    """Gives the request to the store. Whatever the store raises is raised where this is awaited."""
    try:
        return queue.enqueue(request)
    except BaseException as problem:  # noqa: BLE001 - as above
        return _raise(problem)


async def stored(request: Request, storing: Awaitable[Existing | None]) -> tuple[bool, bool]:
    """Waits for the store.

    Args:
        request: may lack its payload: however many wait for a slow disk, only the store's own copy has to wait.
        storing: what `begin_storing` returned.

    Returns whether the same request was sent before and has ended, and whether the request is new.

    Raises:
        Error: CONFLICT: another request has its id. OVERLOADED: as the store says.
        StoreError: it could not be stored.
    """
    existing = await storing
    if existing is None:
        return False, True
    if not existing.same:
        raise refusals.id_taken(request, existing.request)
    return existing.request.terminal, False


async def _raise(problem: BaseException) -> Any:
    raise problem
