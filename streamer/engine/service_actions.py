"""The `streamer.*` actions: what the service itself answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streamer.contracts.handlers import BaseHandler
from streamer.contracts.middleware import Middleware, Next
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock, timestamp
from streamer.core.errors import StoreError
from streamer.core.messages import Request, Result
from streamer.engine import refusals
from streamer.engine.codec import encode_json
from streamer.engine.delivery import Delivery
from streamer.engine.log_throttle import LogThrottle
from streamer.engine.owner_actions import LISTING, ONE_REQUEST, RESUMING, Cancel, ListOf, Resume, StatusOf
from streamer.engine.pipeline import AnyMiddleware, compose
from streamer.engine.routes import Mode, Route
from streamer.engine.service_limit import DEFAULT_LIMIT, ServiceActionLimit
from streamer.engine.validation import Validator
from streamer.engine.worker import Worker

PREFIX = "streamer."
_MAX_ENCODED = 64
"""Lists of actions that are kept encoded."""
_NOTHING = {"type": ["object", "null"], "maxProperties": 0}


class Ping(BaseHandler):
    """`streamer.ping`: the server is there, and what time it has."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def process(self, _request: Request, /) -> Result:
        return Result(data={"pong": True, "time": timestamp(self._clock.now())})


class Actions(BaseHandler):
    """`streamer.actions`: what the caller may ask for, with schema, description and estimate (seconds)."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        super().__init__()
        self._routes = routes
        self._encoded: dict[tuple[str, ...], msgspec.Raw] = {}
        """By the actions that a caller may use: schemas may be large, and many callers may use the same."""

    async def process(self, request: Request, /) -> Result:
        principal = request.principal
        visible = [
            route
            for route in self._routes.values()
            if not route.permissions or (principal is not None and principal.may(route.permissions))
        ]
        names = tuple(route.name for route in visible)
        encoded = self._encoded.get(names)
        if encoded is None:
            if len(self._encoded) >= _MAX_ENCODED:
                self._encoded.clear()
            encoded = self._encoded[names] = msgspec.Raw(encode_json({"actions": [*map(_describe, visible)]}))
        return Result(data=encoded)


def _describe(route: Route) -> dict[str, object]:
    return {
        "action": route.name,
        "description": route.description,
        "estimated_duration": route.estimate,
        "queued": route.queued,
        "schema": route.schema,
    }


class StoreGuard(Middleware):
    """A store that does not answer is a retryable error: its answer says so."""

    immediate = True

    def __init__(self, throttle: LogThrottle) -> None:
        self._throttle = throttle

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - the contract's name
        try:
            return await next(request)
        except StoreError as problem:
            self._throttle.error("the store did not answer", action=request.action, error=str(problem))
            raise refusals.store_silent() from None


def for_service_actions(middlewares: Sequence[AnyMiddleware]) -> list[AnyMiddleware]:
    """Those that are for the service's own actions too."""
    return [one for one in middlewares if isinstance(one, Middleware) and one.service_actions]


def service_routes(
    routes: Mapping[str, Route],
    queue: RequestQueue,
    worker: Worker,
    delivery: Delivery,
    *,
    clock: Clock,
    logger: Any,
    middlewares: Sequence[AnyMiddleware] = (),
    limit: int = DEFAULT_LIMIT,
) -> dict[str, Route]:
    """The routes of the service's own actions, behind those of the middlewares that are for them too.

    Args:
        routes: the actions of the file.
        queue: the store.
        worker: runs what is queued.
        delivery: sends what is resumed.
        clock: the service's.
        logger: for a store that does not answer.
        middlewares: of the file.
        limit: how many of one owner may be under way; `streamer.ping` does not count.
    """
    made = {}
    around = for_service_actions(middlewares)
    limited = (*around, ServiceActionLimit(delivery, limit), StoreGuard(LogThrottle(logger, clock)))
    for name, handler, schema, description in (
        ("ping", Ping(clock), _NOTHING, "Answers with the server's time"),
        ("actions", Actions(routes), _NOTHING, "Lists the actions that may be asked for"),
        ("status", StatusOf(queue, worker), ONE_REQUEST, "Tells where a queued request is"),
        ("list", ListOf(queue), LISTING, "Lists your queued requests, newest first"),
        (
            "resume",
            Resume(queue, worker, delivery, routes),
            RESUMING,
            "Attaches this connection to your requests",
        ),
        ("cancel", Cancel(queue, worker), ONE_REQUEST, "Ends a request, queued or running"),
    ):
        made[PREFIX + name] = Route(
            name=PREFIX + name,
            handler=handler,
            pipeline=compose(handler, around if name == "ping" else limited),
            validator=Validator(schema),
            mode=Mode.SYNC,
            description=description,
            schema=schema,
        )
    return made
