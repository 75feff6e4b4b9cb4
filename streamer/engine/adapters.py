"""Converts between a handler's request and a store's record."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import msgspec

from streamer.contracts.stores import Existing, Key, Lease, RequestQueue
from streamer.core.errors import INTERNAL_ERROR, NOT_FOUND, Error
from streamer.core.messages import Request, Result
from streamer.core.records import RequestRecord, first_seq
from streamer.engine.codec import encode_json, sendable_body
from streamer.engine.outcomes import stored_result
from streamer.engine.routes import Route

DEFAULT_MAX_ATTEMPTS = 3


class RequestQueueAdapter:
    """Wraps a whole queue as the small store that the router needs, and presents its records as requests.

    Args:
        queue: the store.
        routes: have the number of attempts and the priority of an action's requests; three and 0 without a route.
    """

    def __init__(self, queue: RequestQueue, routes: Mapping[str, Route] | None = None) -> None:
        self._queue = queue
        self._routes = {} if routes is None else routes

    def enqueue(self, request: Request, /) -> Awaitable[Existing | None]:
        route = self._routes.get(request.action)
        return self._queue.enqueue(
            RequestRecord(
                owner=request.owner,
                id=request.id,
                action=request.action,
                payload=encode_json(request.payload),
                metadata=request.metadata,
                connection_id=request.connection_id,
                created_at=request.created_at,
                updated_at=request.created_at,
                due_at=request.created_at,
                max_attempts=DEFAULT_MAX_ATTEMPTS if route is None else route.retry.max_attempts,
                priority=0 if route is None else route.priority,
                principal=request.principal,
                address=request.address,
                expires_at=_expires_at(request, route),
            )
        )

    async def get(self, key: Key, /) -> RequestRecord | None:
        return await self._queue.get(key)

    async def get_async_request(self, request_id: str, owner: str | None = None) -> Request:
        """The stored request.

        Raises:
            Error: NOT_FOUND.
        """
        return convert_async_request_to_request(await self._record(request_id, owner))

    async def update_progress(
        self, request_id: str, percentage: float, message: str = "", owner: str | None = None
    ) -> None:
        """Stores the progress of the request's newest claim.

        Raises:
            Error: NOT_FOUND.
            LeaseLost: the request is not running.
        """
        record = await self._record(request_id, owner)
        await self._queue.update_progress(_lease(record), seq=_next_seq(record), percentage=percentage, message=message)

    async def complete_request(self, request_id: str, result: Result, owner: str | None = None) -> None:
        """Ends the newest claim of the request with a result.

        Raises:
            Error: NOT_FOUND.
            LeaseLost: the request is not running.
        """
        record = await self._record(request_id, owner)
        await self._queue.complete(_lease(record), seq=_next_seq(record), result=stored_result(result))

    async def fail_request(self, request_id: str, error: Exception, owner: str | None = None) -> None:
        """Ends the newest claim of the request with an error; one that is not an `Error` becomes INTERNAL_ERROR.

        Raises:
            Error: NOT_FOUND.
            LeaseLost: the request is not running.
        """
        record = await self._record(request_id, owner)
        known = error if isinstance(error, Error) else Error(INTERNAL_ERROR, str(error))
        await self._queue.fail(_lease(record), seq=_next_seq(record), error=sendable_body(known))

    async def _record(self, request_id: str, owner: str | None) -> RequestRecord:
        if owner is None:
            found = await self._queue.find(request_id)
            if len(found) > 1:
                raise Error(NOT_FOUND, f"{len(found)} owners have a request {request_id!r}; name one")
            owner = found[0].owner if found else ""
        record = await self._queue.get((owner, request_id))
        if record is None:
            raise Error(NOT_FOUND, f"Request {request_id!r} not found")
        return record


def convert_async_request_to_request(record: RequestRecord) -> Request:
    """The request of a stored record."""
    return Request(
        id=record.id,
        action=record.action,
        payload=msgspec.json.decode(record.payload),
        metadata=record.metadata,
        connection_id=record.connection_id,
        owner=record.owner,
        principal=record.principal,
        created_at=record.created_at,
        attempt=max(record.attempts, 1),
    )


def _expires_at(request: Request, route: Route | None) -> float | None:
    if route is None or route.expires_after is None:
        return None
    return request.created_at + route.expires_after


def _lease(record: RequestRecord) -> Lease:
    return Lease(record.owner, record.id, record.fence)


def _next_seq(record: RequestRecord) -> int:
    # The newest stored number may be from an earlier claim.
    return max(record.seq, first_seq(record.fence)) + 1
