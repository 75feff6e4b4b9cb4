"""Queues requests: stores and acknowledges them, then wakes a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from msgspec import structs

from streamer.contracts.connections import Peer
from streamer.contracts.stores import Existing, Key, RequestStore
from streamer.core.coroutines import DONE
from streamer.core.errors import Error, StoreError
from streamer.core.foreign_code import task_is_cancelled
from streamer.core.messages import Acknowledgment, Request
from streamer.engine import refusals
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import UNEXPECTED, CancelledFromWithinError, ErrorBoundary
from streamer.engine.codec import encode_json
from streamer.engine.delivery import Delivery
from streamer.engine.log_throttle import LogThrottle
from streamer.engine.refusals import Refuse, send_refusal
from streamer.engine.routes import Route

OnQueued = Callable[[Request, Route], Awaitable[None] | None]
"""Called with each request that has been stored and acknowledged."""


class Submitter:
    """Stores requests and acknowledges them. Their connections are subscribed before, so that they miss nothing.

    Args:
        store: stores queued requests.
        delivery: sends their messages once they are acknowledged.
        tasks: run what is in progress.
        boundary: converts unexpected exceptions to errors.
        throttle: for a store that does not respond.
        on_queued: called after each acknowledgment: wakes a worker. Its result is awaited, unless it is None.
        on_storing: called before each request is passed to the store: a worker of this process may claim right after
            it.
        refuse: sends errors instead of acknowledgments.
    """

    def __init__(
        self,
        store: RequestStore,
        delivery: Delivery,
        tasks: BackgroundTasks,
        boundary: ErrorBoundary,
        throttle: LogThrottle,
        *,
        on_queued: OnQueued | None,
        on_storing: Callable[[], None] | None,
        refuse: Refuse = send_refusal,
    ) -> None:
        self._store = store
        self._delivery = delivery
        self._tasks = tasks
        self._boundary = boundary
        self._throttle = throttle
        self._on_queued = on_queued
        self._on_storing = on_storing
        self._refuse = refuse

    def submit(self, peer: Peer, route: Route, request: Request) -> None:
        """Starts. There is no task if only the store must be awaited, and its answer is a future."""
        peer.running += 1
        if route.pipeline.admit is not None or route.cancel_after is not None or peer.post is not None:
            self._tasks.start(self._finish(peer, route, request, self._admit_and_store(peer, route, request)))
            return
        key = self._subscribe(peer, request)
        storing = begin_storing(self._store, request)
        # Once it is encoded for the store, nothing here keeps the payload, however many requests wait for a slow disk.
        request = structs.replace(request, payload=None)
        if not isinstance(storing, asyncio.Future):
            self._tasks.start(self._finish(peer, route, request, self._stored(peer, request, storing)))
            return

        running = self._tasks.running

        def answered(storing: asyncio.Future[Existing | None]) -> None:
            running.discard(storing)
            if storing.cancelled():
                # By a drain at the end of its timeout.
                peer.running -= 1
                self._delivery.unsubscribe(key, peer.id)
                self._refuse(peer, request.action, refusals.too_late(), request.id)
                return
            if storing.exception() is not None or storing.result() is not None:
                self._tasks.start(self._finish(peer, route, request, self._stored(peer, request, storing)))
                return
            peer.running -= 1
            peer.send(encode_json(Acknowledgment(request.id)))
            waking = None if self._on_queued is None else self._on_queued(request, route)
            for waiting in (self._delivery.acknowledged(key, peer.id), waking):
                if waiting is not None and waiting is not DONE:
                    self._tasks.keep(asyncio.ensure_future(waiting))

        running.add(storing)
        storing.add_done_callback(answered)

    async def _finish(
        self, peer: Peer, route: Route, request: Request, storing: Coroutine[Any, Any, tuple[bool, bool]]
    ) -> None:
        request = structs.replace(request, payload=None)
        try:
            ended, is_new = await storing
        except Error as error:
            refusal = error
        except StoreError as problem:
            self._throttle.error("a request could not be stored", request_id=request.id, error=str(problem))
            refusal = refusals.not_stored()
        except asyncio.CancelledError:
            if task_is_cancelled():
                self._refuse(peer, request.action, refusals.too_late(), request.id)
                raise
            refusal = self._boundary.error_of(CancelledFromWithinError(), request)
        except UNEXPECTED as problem:
            refusal = self._boundary.error_of(problem, request)
        else:
            peer.send(encode_json(Acknowledgment(request.id)))
            try:
                await self._acknowledged(peer, route, request, ended=ended)
            finally:
                # It is stored, and must run even if its acknowledgment failed.
                if is_new and self._on_queued is not None and (waking := self._on_queued(request, route)) is not None:
                    await waking
            return
        finally:
            peer.running -= 1
        self._refuse(peer, request.action, refusal, request.id)

    async def _admit_and_store(self, peer: Peer, route: Route, request: Request) -> tuple[bool, bool]:
        """As `stored`."""
        if route.pipeline.admit is not None:
            await route.pipeline.admit(request)
        self._subscribe(peer, request)
        storing = begin_storing(self._store, request)
        request = structs.replace(request, payload=None)
        return await self._stored(peer, request, storing)

    def _subscribe(self, peer: Peer, request: Request) -> Key:
        request.address = peer.address
        key = (request.owner, request.id)
        self._delivery.subscribe(key, peer.id)
        if self._on_storing is not None:
            self._on_storing()
        return key

    async def _stored(self, peer: Peer, request: Request, storing: Awaitable[Existing | None]) -> tuple[bool, bool]:
        try:
            return await stored(request, storing)
        except BaseException:
            self._delivery.unsubscribe((request.owner, request.id), peer.id)
            raise

    async def _acknowledged(self, peer: Peer, route: Route, request: Request, *, ended: bool) -> None:
        """The acknowledgment is sent; messages after it may follow now: the outcome of a request that had ended."""
        key = (request.owner, request.id)
        # Further messages go directly to the connection manager: the acknowledgment must be there first.
        if peer.post is not None:
            try:
                posted = await peer.post()
            except BaseException:
                self._delivery.unsubscribe(key, peer.id)
                raise
            if not posted and route.cancel_after is None:
                self._delivery.unsubscribe(key, peer.id)
                return
        await self._delivery.acknowledged(key, peer.id, ends_after=route.cancel_after, ended=ended)


def begin_storing(store: RequestStore, request: Request) -> Awaitable[Existing | None]:
    """Passes the request to the store. Exceptions of the store are raised when this is awaited."""
    try:
        return store.enqueue(request)
    except BaseException as problem:  # noqa: BLE001 - as above
        return _raise(problem)


async def stored(request: Request, storing: Awaitable[Existing | None]) -> tuple[bool, bool]:
    """Waits for the store.

    Args:
        request: may lack its payload: however many wait for a slow disk, only the store's own copy is kept.
        storing: the result of `begin_storing`.

    Returns whether the same request was sent before and has ended, and whether the request is new.

    Raises:
        Error: CONFLICT: another request has its id. OVERLOADED: from the store.
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
