"""Routes inbound messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from streamer.contracts.connections import ConnectionManager, Peer
from streamer.contracts.handlers import Handler
from streamer.contracts.stores import RequestStore
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import Error
from streamer.core.ids import new_id
from streamer.core.messages import Request
from streamer.core.principal import Principal
from streamer.core.units import as_seconds
from streamer.engine import refusals
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import UNEXPECTED, ErrorBoundary, default_logger
from streamer.engine.codec import (
    ACTION_NAME,
    Codec,
    Envelope,
    MalformedError,
    parse_wait,
    sendable_body,
)
from streamer.engine.delivery import Delivery
from streamer.engine.direct_requests import DirectRequests
from streamer.engine.events import Authorizer, EventRouter
from streamer.engine.log_throttle import LogThrottle
from streamer.engine.observers import RouterObserver
from streamer.engine.pipeline import AnyMiddleware, check, compose
from streamer.engine.refusals import send_refusal
from streamer.engine.routes import Route
from streamer.engine.sizes import MAX_RESULT_SIZE
from streamer.engine.submission import OnQueued, Submitter
from streamer.engine.timeouts import STOP_GRACE, wait_up_to

DEFAULT_THRESHOLD = 5.0


class Router:
    """Decides about each message: answered at once, queued, or refused.

    It is built by the runtime from `streamer.yaml`, or in code::

        router = Router(store, connections)
        router.set_async_threshold(5)
        router.set_middleware(logging_middleware(print))
        router.handle("echo", EchoHandler())
        await router.route(event)  # an API Gateway WebSocket event

    Args:
        store: stores queued requests.
        connections: send answers of `route` and messages of queued requests to clients.
        clock: time.
        logger: for details that clients must not see.
        delivery: shared with the worker of the same process, if there is one.
        codec: limits of depth and strictness.
        max_running: requests of one connection that are answered or stored at the same time; one more is RATE_LIMITED.
        max_result_size: maximum bytes of one result; a larger one is an error instead.
        expose_errors: send the text of unexpected exceptions to clients (development only).
        routes: compiled actions; `handle` and `add` add to them.
        service_routes: the service's own actions.
        on_queued: called after each acknowledgment: wakes a worker. Its result is awaited, unless it is None.
        on_storing: called before each request is passed to the store: a worker of this process may claim right after
            it.
        observer: creates observed parts. Default: nothing is observed.
    """

    def __init__(
        self,
        store: RequestStore,
        connections: ConnectionManager,
        *,
        clock: Clock | None = None,
        logger: Any = None,
        delivery: Delivery | None = None,
        codec: Codec | None = None,
        max_running: int = 1024,
        max_result_size: int = MAX_RESULT_SIZE,
        expose_errors: bool = False,
        routes: dict[str, Route] | None = None,
        service_routes: Mapping[str, Route] | None = None,
        on_queued: OnQueued | None = None,
        on_storing: Callable[[], None] | None = None,
        observer: RouterObserver | None = None,
    ) -> None:
        logger = default_logger() if logger is None else logger
        self.connections = connections
        self.clock = clock or SystemClock()
        self.logger = logger
        self.delivery = delivery or Delivery(connections, logger)
        self._throttle = throttle = LogThrottle(logger, self.clock)
        self.routes = {} if routes is None else routes
        self.service_routes = {} if service_routes is None else service_routes
        self._lookup = {**self.routes, **self.service_routes}
        self._decode = (codec or Codec()).decode
        self._max_running = max_running
        self._tasks = tasks = BackgroundTasks()
        self._boundary = boundary = ErrorBoundary(logger, expose=expose_errors)
        self._refuse = send_refusal if observer is None else observer.refuse
        direct_requests = DirectRequests if observer is None else observer.direct_requests
        self._direct = direct_requests(tasks, boundary, logger, max_result_size=max_result_size)
        self._submitter = Submitter(
            store,
            self.delivery,
            tasks,
            boundary,
            throttle,
            on_queued=on_queued,
            on_storing=on_storing,
            refuse=self._refuse,
        )
        self._threshold = DEFAULT_THRESHOLD
        self._middleware: tuple[AnyMiddleware, ...] = ()
        self._draining = False
        self._events = self.events()

    # Registering actions.

    def set_async_threshold(self, duration: float | str | timedelta) -> None:
        """Requests with at least this estimate are queued: seconds, `"5s"`, or a timedelta. For later `handle`
        calls.
        """
        self._threshold = as_seconds(duration)

    def set_middleware(self, *middleware: AnyMiddleware) -> None:
        """Adds middleware, first outermost, around the handlers of later `handle` calls."""
        self._middleware += middleware

    def handle(self, action: str, handler: Handler) -> None:
        """Registers an action.

        Raises:
            ValueError: the name is empty, malformed, reserved or already used, or the handler is None.
        """
        if not ACTION_NAME.fullmatch(action):
            raise ValueError(f"{action!r} is not a valid action name; use 1 to 128 of A-Z a-z 0-9 . _ -")
        if action.startswith("streamer."):
            raise ValueError(f"{action!r}: the prefix 'streamer.' is reserved for the service's own actions")
        if handler is None:
            raise ValueError(f"the handler of {action!r} is None")
        pipeline = compose(handler, self._middleware)
        estimate = as_seconds(pipeline.estimate())
        self.add(Route(name=action, handler=handler, pipeline=pipeline, estimate=estimate, threshold=self._threshold))

    def add(self, route: Route) -> None:
        """Registers a compiled action.

        Raises:
            ValueError: the action is already registered.
        """
        if route.name in self.routes:
            raise ValueError(f"a handler for {route.name!r} is already registered")
        self.routes[route.name] = self._lookup[route.name] = route

    # Receiving.

    def receive(self, peer: Peer, frame: bytes) -> None:
        """One message of an open connection. Answers that are ready immediately are sent immediately."""
        try:
            envelope = self._decode(frame)
        except MalformedError as problem:
            self._refuse(peer, "", problem.error, problem.request_id)
            peer.refused()
            return
        request_id = envelope.id
        if request_id is None:
            request_id = new_id("req_")
        try:
            route, queued = self._decide(envelope, peer.principal)
            request = Request(
                id=request_id,
                action=envelope.action,
                payload=envelope.payload,
                metadata=envelope.metadata or {},
                connection_id=peer.id,
                owner=peer.owner,
                principal=peer.principal,
                created_at=self.clock.now(),
            )
            validate = route.pipeline.validate
            if validate is not None:
                check(validate, request)
        except Error as error:
            self._refuse(peer, envelope.action, error, request_id)
            # Raised by a handler's own check, and so of any type.
            if not sendable_body(error).retryable:
                peer.refused(refusals.weight(error))
            return
        except UNEXPECTED as problem:
            # The schema's validator is an extension in Rust, which may panic.
            failed = self._boundary.error(problem, request_id, peer.id, envelope.action)
            self._refuse(peer, envelope.action, failed, request_id)
            return
        if peer.running >= self._max_running:
            self._refuse(peer, envelope.action, refusals.too_many(self._max_running), request_id)
        elif queued:
            self._submitter.submit(peer, route, request)
        elif route.immediate:
            self._direct.step(peer, route, request)
        else:
            self._direct.start(peer, route, request)

    def _decide(self, envelope: Envelope, principal: Principal | None) -> tuple[Route, bool]:
        route = self._lookup.get(envelope.action)
        if route is None:
            raise refusals.unknown_action(envelope.action, self._lookup)
        if self._draining:
            raise refusals.draining()
        if route.permissions and (principal is None or not principal.may(route.permissions)):
            raise refusals.forbidden(route.name, route.permissions, principal)
        validator = route.validator
        if validator is not None and not validator.is_valid(envelope.payload):
            raise validator.error(envelope.payload)
        if envelope.wait is None:
            return route, route.queued
        return route, route.queues(parse_wait(envelope.wait))

    def confirmed(self, peer: Peer, names: Sequence[str]) -> None:
        """The owners of these requests have confirmed their outcomes."""
        owner = peer.owner
        self.delivery.confirmed([(owner, name) for name in names])

    def waits(self, peer: Peer) -> bool:
        return peer.running > 0 or self.delivery.waits(peer.id)

    def disconnected(self, peer: Peer) -> None:
        """Direct requests of the connection run to their end; queued requests continue."""
        self.delivery.forget(peer.id)

    async def route(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Handles one API Gateway WebSocket event of a connection that is its own owner, as `EventRouter.route`."""
        return await self._events.route(event)

    def events(self, authorizer: Authorizer | None = None) -> EventRouter:
        """What handles API Gateway WebSocket events.

        Args:
            authorizer: decides who may connect; None: every connection may, and is its own owner.
        """
        return EventRouter(
            self.receive,
            self._decode,
            self._tasks.running,
            connections=self.connections,
            forget=self.delivery.forget,
            throttle=self._throttle,
            authorizer=authorizer,
        )

    # Ending.

    def begin_drain(self) -> None:
        """Refuses new requests with OVERLOADED; requests in progress continue."""
        self._draining = True
        self.delivery.begin_drain()

    async def settle(self) -> None:
        """Returns when no request is being answered or stored."""
        await self._tasks.settle()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - a bound on the handlers, not on the caller
        """Waits this long for direct requests, then cancels them; their clients get an error."""
        if await wait_up_to(timeout, self.settle(), self.clock):
            return
        self._tasks.cancel()
        if not await wait_up_to(STOP_GRACE, self.settle(), self.clock):
            # A handler that suppresses its cancellation must not block the service.
            self.logger.error("handlers of direct requests do not stop", count=len(self._tasks.running))
