"""The service's actions on a client's own requests: status, list, resume and cancel. Other clients' requests are not
found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from streamer.contracts.handlers import BaseHandler
from streamer.contracts.stores import Key, RequestQueue
from streamer.core.attempts import Attempt
from streamer.core.clock import timestamp
from streamer.core.errors import CONFLICT, NOT_FOUND, VALIDATION_ERROR, ConnectionGone, Error, TransitionRefused
from streamer.core.messages import ProgressUpdate, Request, Result
from streamer.core.owners import new_key
from streamer.core.records import RequestRecord, Status
from streamer.core.sealed_text import Sealer
from streamer.core.summaries import RequestSummary
from streamer.engine.delivery import Delivery
from streamer.engine.outcomes import StoredResult, progress_message, terminal_message
from streamer.engine.routes import Route
from streamer.engine.worker import Worker

MAX_LISTED = 100
MAX_RESUMED = 1000
"""Maximum requests of one `streamer.resume`: each is a message to send immediately."""
_REQUEST_ID = {"type": "string", "minLength": 1, "maxLength": 128}
ONE_REQUEST = {
    "type": "object",
    "properties": {"request_id": _REQUEST_ID},
    "required": ["request_id"],
    "additionalProperties": False,
}
LISTING = {
    "type": ["object", "null"],
    "properties": {
        "status": {"enum": [status.value for status in Status]},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LISTED},
        "cursor": {"type": "string", "maxLength": 200},
    },
    "additionalProperties": False,
}
RESUMING = {
    "type": ["object", "null"],
    "properties": {"request_id": _REQUEST_ID, "after_seq": {"type": "integer", "minimum": -1}},
    "additionalProperties": False,
}


class StatusOf(BaseHandler):
    """`streamer.status`: the state of the client's queued request, and its outcome once it has ended."""

    def __init__(self, queue: RequestQueue, worker: Worker) -> None:
        super().__init__()
        self._queue = queue
        self._worker = worker

    async def process(self, request: Request, /) -> Result:
        """Its state."""
        record = await find(self._queue, request)
        return Result(data=describe(self._worker.with_newest_progress(record)))


class ListOf(BaseHandler):
    """`streamer.list`: the client's own requests, newest first, in pages and without their outcomes.

    A store's cursor may reveal a request's position among those of all owners, so clients get it sealed.
    """

    def __init__(self, queue: RequestQueue) -> None:
        super().__init__()
        self._queue = queue
        self._sealer: Sealer | None = None

    async def process(self, request: Request, /) -> Result:
        """One page."""
        params = request.payload or {}
        status = params.get("status")
        sealed = params.get("cursor")
        page = await self._queue.list(
            owner=request.owner,
            status=None if status is None else Status(status),
            limit=params.get("limit", 50),
            cursor=None if sealed is None else await self._opened(sealed, request.owner),
        )
        following = None if page.cursor is None else (await self._sealing()).seal(page.cursor, request.owner)
        return Result(data={"requests": [describe_summary(summary) for summary in page.requests], "cursor": following})

    async def _opened(self, sealed: str, owner: str) -> str:
        cursor = (await self._sealing()).open(sealed, owner)
        if cursor is None:
            raise Error(VALIDATION_ERROR, "The cursor does not come from this service, or belongs to another owner")
        return cursor

    async def _sealing(self) -> Sealer:
        if self._sealer is None:
            self._sealer = Sealer(await self._queue.keep("cursor-key", new_key()))
        return self._sealer


class Cancel(BaseHandler):
    """`streamer.cancel`: cancels a queued or running request of the client."""

    def __init__(self, queue: RequestQueue, worker: Worker) -> None:
        super().__init__()
        self._queue = queue
        self._worker = worker

    async def process(self, request: Request, /) -> Result:
        """Cancels it; its terminal message is an error CANCELLED."""
        key = (request.owner, request.payload["request_id"])
        try:
            record = await self._worker.cancel(key, "The owner cancelled the request")
        except TransitionRefused:
            existing = await find(self._queue, request)
            raise Error(
                CONFLICT, f"Request {existing.id!r} has already ended", {"status": existing.status.value}
            ) from None
        return Result(data={"request_id": record.id, "status": record.status.value})


class Resume(BaseHandler):
    """`streamer.resume`: subscribes the client's connection to its requests; it gets their newest state first, then
    further messages.

    Without an id: all requests that have not ended, or whose outcome was not delivered. Running ones come first; the
    others are read and sent one at a time, each when the client has received the previous one.
    """

    def __init__(self, queue: RequestQueue, worker: Worker, delivery: Delivery, routes: Mapping[str, Route]) -> None:
        super().__init__()
        self._queue = queue
        self._worker = worker
        self._delivery = delivery
        self._routes = routes

    async def process(self, request: Request, /) -> Result:
        """The requests that the connection is now subscribed to, or was sent the outcome of."""
        with self._delivery.resuming(request.connection_id) as sent:
            return await self._resume(request, sent)

    async def _resume(self, request: Request, sent: Collection[Key]) -> Result:
        params = request.payload or {}
        after = params.get("after_seq", -1)
        if "request_id" in params:
            record = await find(self._queue, request)
            found: Sequence[Key] = [record.key]
            at_once = set() if record.terminal else {record.key}
            del record
        else:
            await self._delivery.record_confirmed()
            found = await self._queue.undelivered(request.owner, MAX_RESUMED + 1)
            at_once = {key for key in found if self._worker.runs(key)}
        keys = found[:MAX_RESUMED]
        with contextlib.suppress(ConnectionGone):
            for key in keys:
                if key in at_once:
                    await self._attach(key, request.connection_id, after, sent)
            for key in keys:
                if key not in at_once:
                    await self._attach_in_turn(key, request.connection_id, after, sent)
        answer: dict[str, Any] = {"requests": [key[1] for key in keys]}
        if len(found) > MAX_RESUMED:
            answer["more"] = True
        return Result(data=answer)

    async def _attach_in_turn(self, key: Key, connection_id: str, after: int, sent: Collection[Key]) -> None:
        if key in sent:
            # The request ended meanwhile, while the connection was subscribed; or it was resumed twice at the same
            # time.
            return
        async with self._delivery.turn(key, connection_id):
            await self._attach(key, connection_id, after, sent, has_turn=True)

    async def _attach(
        self, key: Key, connection_id: str, after: int, sent: Collection[Key], *, has_turn: bool = False
    ) -> None:
        delivery = self._delivery
        if delivery.awaits_acknowledgment(key, connection_id):
            # Its acknowledgment is being sent on this connection, and must be its first message.
            return
        # Subscribed before the request is read: messages in between are held back, and not missed.
        delivery.subscribe(key, connection_id)
        record = await self._queue.get(key)
        if record is None:
            delivery.unsubscribe(key, connection_id)
            return
        if record.terminal and not has_turn:
            delivery.unsubscribe(key, connection_id)
            del record
            await self._attach_in_turn(key, connection_id, after, sent)
            return
        if record.terminal:
            if record.seq > after and key not in sent:
                await delivery.send_ended(key, connection_id, terminal_message(record))
            else:
                delivery.unsubscribe(key, connection_id)
                if record.seq <= after:
                    # The client itself has said that it has received it.
                    delivery.confirmed([key])
            return
        route = self._routes.get(record.action)
        record = self._worker.with_newest_progress(record)
        seq = max(record.seq, self._worker.newest_seq(key))
        update = ProgressUpdate(
            percentage=record.percentage,
            message=record.message,
            metadata=msgspec.json.decode(record.progress_metadata) if record.progress_metadata else None,
            timestamp=record.updated_at,
        )
        await delivery.attach(
            key,
            connection_id,
            progress_message(record.id, seq, update) if seq > after else None,
            ends_after=None if route is None else route.cancel_after,
        )


async def find(queue: RequestQueue, request: Request) -> RequestRecord:
    """The client's request that the payload names.

    Raises:
        Error: NOT_FOUND, also when it belongs to another owner.
    """
    request_id = request.payload["request_id"]
    record = await queue.get((request.owner, request_id))
    if record is None:
        raise Error(NOT_FOUND, f"No queued request {request_id!r} of yours exists", {"request_id": request_id})
    return record


def describe_summary(record: RequestRecord | RequestSummary) -> dict[str, Any]:
    """A request in a listing for its owner."""
    described: dict[str, Any] = {
        "request_id": record.id,
        "action": record.action,
        "status": record.status.value,
        "attempt": record.attempts,
        "max_attempts": record.max_attempts,
        "percentage": record.percentage,
        "message": record.message,
        "seq": record.seq,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
    }
    if record.started_at is not None:
        described["started_at"] = timestamp(record.started_at)
    if record.status is Status.RETRYING and record.due_at is not None:
        described["retry_at"] = timestamp(record.due_at)
    if record.finished_at is not None:
        described["finished_at"] = timestamp(record.finished_at)
    if record.expires_at is not None and not record.terminal:
        described["expires_at"] = timestamp(record.expires_at)
    return described


def describe(record: RequestRecord) -> dict[str, Any]:
    """A request for its owner, with its outcome once it has ended."""
    described = describe_summary(record)
    if record.history:
        described["history"] = [_attempt(one) for one in record.history]
    if record.result:
        stored = msgspec.json.decode(record.result, type=StoredResult)
        described["success"] = stored.success
        described["result"] = stored.result
        if stored.metadata is not None:
            described["metadata"] = stored.metadata
        if stored.error is not None:
            described["error"] = stored.error
    if record.error is not None:
        described["error"] = record.error
    return described


def _attempt(attempt: Attempt) -> dict[str, Any]:
    """Without the worker's name, which is for operators."""
    described: dict[str, Any] = {
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "outcome": attempt.outcome.value,
    }
    if attempt.error is not None:
        described["error"] = attempt.error
    return described
