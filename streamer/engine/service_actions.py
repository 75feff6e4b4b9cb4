"""The `streamer.*` actions: what the service itself answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streamer.contracts.handlers import BaseHandler
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock, timestamp
from streamer.core.errors import NOT_FOUND, Error
from streamer.core.messages import Request, Result
from streamer.core.records import RequestRecord, Status
from streamer.engine.outcomes import StoredResult
from streamer.engine.pipeline import compose
from streamer.engine.routes import Route
from streamer.engine.routing import Mode
from streamer.engine.validation import Validator
from streamer.engine.worker import Worker, current

PREFIX = "streamer."
_NOTHING = {"type": ["object", "null"], "maxProperties": 0}
_ONE_REQUEST = {
    "type": "object",
    "properties": {"request_id": {"type": "string", "minLength": 1, "maxLength": 128}},
    "required": ["request_id"],
    "additionalProperties": False,
}


class Ping(BaseHandler):
    """`streamer.ping`: the server is there, and what time it has."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def process(self, _request: Request, /) -> Result:
        return Result(data={"pong": True, "time": timestamp(self._clock.now())})


class Actions(BaseHandler):
    """`streamer.actions`: what may be asked for, with schema, description and estimate (seconds)."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        super().__init__()
        self._routes = routes

    async def process(self, _request: Request, /) -> Result:
        return Result(
            data={
                "actions": [
                    {
                        "action": route.name,
                        "description": route.description,
                        "estimated_duration": route.estimate,
                        "queued": route.queued,
                        "schema": route.schema,
                    }
                    for route in self._routes.values()
                ]
            }
        )


class StatusOf(BaseHandler):
    """`streamer.status`: where a queued request of the caller is, and its outcome once it has ended."""

    def __init__(self, queue: RequestQueue, worker: Worker | None) -> None:
        super().__init__()
        self._queue = queue
        self._worker = worker

    async def process(self, request: Request, /) -> Result:
        request_id = request.payload["request_id"]
        record = await self._queue.get((request.owner, request_id))
        if record is None:
            raise Error(NOT_FOUND, f"No queued request {request_id!r} of yours is known", {"request_id": request_id})
        if self._worker is not None:
            record = current(record, self._worker.running.get(record.key))
        return Result(data=describe(record))


def describe(record: RequestRecord) -> dict[str, Any]:
    """What an owner is told of a request; with its outcome once it has ended."""
    told: dict[str, Any] = {
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
        told["started_at"] = timestamp(record.started_at)
    if record.status is Status.RETRYING and record.due_at is not None:
        told["retry_at"] = timestamp(record.due_at)
    if record.finished_at is not None:
        told["finished_at"] = timestamp(record.finished_at)
    if record.result:
        stored = msgspec.json.decode(record.result, type=StoredResult)
        told["success"] = stored.success
        told["result"] = stored.result
        if stored.metadata is not None:
            told["metadata"] = stored.metadata
        if stored.error is not None:
            told["error"] = stored.error
    if record.error is not None:
        told["error"] = record.error
    return told


def service_routes(
    routes: Mapping[str, Route], queue: RequestQueue, worker: Worker | None, clock: Clock
) -> dict[str, Route]:
    """The routes of the service's own actions."""
    made = {}
    for name, handler, schema, description in (
        ("ping", Ping(clock), _NOTHING, "Answers with the server's time"),
        ("actions", Actions(routes), _NOTHING, "Lists the actions that may be asked for"),
        ("status", StatusOf(queue, worker), _ONE_REQUEST, "Tells where a queued request is"),
    ):
        made[PREFIX + name] = Route(
            name=PREFIX + name,
            handler=handler,
            pipeline=compose(handler, ()),
            validator=Validator(schema),
            mode=Mode.SYNC,
            description=description,
            schema=schema,
        )
    return made
