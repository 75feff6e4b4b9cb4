"""One request into the store, or what was there before it."""

from __future__ import annotations

from msgspec import structs

from streamer.contracts.stores import RequestStore
from streamer.core.errors import StoreUnavailable
from streamer.core.messages import Request
from streamer.core.records import RequestRecord
from streamer.engine import refusals


async def store(queue: RequestStore, request: Request) -> tuple[RequestRecord | None, bool]:
    """Stores the request.

    Returns the record where the same request was sent before and has ended, and whether the request is new.

    Raises:
        Error: CONFLICT: another request has its id. OVERLOADED: as the store says.
        StoreError: it could not be stored.
    """
    storing = queue.enqueue(request)
    # However many wait for a slow disk: from when it is encoded for the store, nothing here keeps the payload.
    request = structs.replace(request, payload=None)
    existing = await storing
    if existing is None:
        return None, True
    if not existing.same:
        raise refusals.id_taken(request, existing.request)
    if not existing.request.terminal:
        return None, False
    record = await queue.get((request.owner, request.id))
    if record is None:
        raise StoreUnavailable(f"request {request.id!r} was deleted while it was sent again")
    return (record if record.terminal else None), False
