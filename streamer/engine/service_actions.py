"""The `streamer.*` actions: requests that the service itself answers."""

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
"""Maximum lists of actions that are kept encoded."""
_NOTHING = {"type": ["object", "null"], "maxProperties": 0}


class Ping(BaseHandler):
    """`streamer.ping`: answers with the server's time."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def process(self, _request: Request, /) -> Result:
        return Result(data={"pong": True, "time": timestamp(self._clock.now())})


class Actions(BaseHandler):
    """`streamer.actions`: the actions that the client may use, with schema, description and estimate (seconds)."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        super().__init__()
        self._routes = routes
        self._encoded: dict[tuple[str, ...], msgspec.Raw] = {}
        """By the actions that a client may use: schemas may be large, and many clients may use the same actions."""

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
    """A store that does not respond is a retryable error: the answer says so."""

    immediate = True

    def __init__(self, throttle: LogThrottle) -> None:
        self._throttle = throttle

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - the contract's name
        try:
            return await next(request)
        except StoreError as problem:
            self._throttle.error("the store did not respond", action=request.action, error=str(problem))
            raise refusals.store_silent() from None


def for_service_actions(middlewares: Sequence[AnyMiddleware]) -> list[AnyMiddleware]:
    """The middlewares that also apply to the service's own actions."""
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
    """The routes of the service's own actions, with the middlewares that apply to them.

    Args:
        routes: the actions of the file.
        queue: the store.
        worker: runs queued requests.
        delivery: sends resumed outcomes.
        clock: the service's.
        logger: for a store that does not respond.
        middlewares: of the file.
        limit: maximum concurrent requests of one owner; `streamer.ping` does not count.
    """
    made = {}
    around = for_service_actions(middlewares)
    limited = (*around, ServiceActionLimit(delivery, limit), StoreGuard(LogThrottle(logger, clock)))
    for name, handler, schema, description in (
        ("ping", Ping(clock), _NOTHING, "Returns the server's time"),
        ("actions", Actions(routes), _NOTHING, "Lists the actions that you may use"),
        ("status", StatusOf(queue, worker), ONE_REQUEST, "Returns the state of a queued request"),
        ("list", ListOf(queue), LISTING, "Lists your queued requests, newest first"),
        (
            "resume",
            Resume(queue, worker, delivery, routes),
            RESUMING,
            "Subscribes this connection to your requests",
        ),
        ("cancel", Cancel(queue, worker), ONE_REQUEST, "Cancels a queued or running request"),
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
