"""WebSocket events of a gateway to a router, and its answers back to their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from streamer.contracts.connections import ConnectionManager
from streamer.core.errors import ConnectionGone, NotSent, StoreError
from streamer.engine import refusals
from streamer.engine.codec import Envelope, MalformedError, encode_error
from streamer.engine.events import Authorizer, EventPeer, frame_of
from streamer.engine.log_throttle import LogThrottle

_LET_IN: dict[str, Any] = {"statusCode": 200}


class EventPoster:
    """Sends what the connections of events have collected.

    Args:
        connections: take the messages.
        forget: called with each connection that turns out to have ended.
        throttle: for messages that are not taken.
    """

    def __init__(self, connections: ConnectionManager, forget: Callable[[str], None], throttle: LogThrottle) -> None:
        self._connections = connections
        self._forget = forget
        self._throttle = throttle

    async def post(self, peer: EventPeer) -> bool:
        """Returns whether the connection was there to take it."""
        messages, peer.sent = peer.sent, []
        for message in messages:
            try:
                await self._connections.send(peer.id, message)
            except ConnectionGone:
                self._forget(peer.id)
                return False
            except NotSent as problem:
                # A matter of that client alone: an error of the function would alert an operator.
                self._throttle.error("an answer was not taken", connection_id=peer.id, error=str(problem))
                return False
        return True


class EventRouter:
    """Handles events, one at a time or many.

    Args:
        receive: handles one message; of the router.
        decode: reads a message.
        forget: called with each connection that has ended.
        tasks: those that the router has started for messages.
        poster: sends the answers.
        throttle: for what goes wrong.
        authorizer: asked who speaks; None: every connection may come in, and is its own owner.
    """

    def __init__(
        self,
        receive: Callable[[EventPeer, bytes], None],
        decode: Callable[[bytes], Envelope],
        forget: Callable[[str], None],
        tasks: set[asyncio.Future[Any]],
        *,
        poster: EventPoster,
        throttle: LogThrottle,
        authorizer: Authorizer | None = None,
    ) -> None:
        self._receive = receive
        self._decode = decode
        self._forget = forget
        self._tasks = tasks
        self._poster = poster
        self._throttle = throttle
        self._authorizer = authorizer

    async def route(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Handles one event, answers through the connection manager, and returns when done.

        The authorizer decides on a CONNECT; after a DISCONNECT nothing more is sent to that connection.

        Returns:
            `{"statusCode": 200}`, also when the answer is an error that the client has got. Another status only for a
            CONNECT that the authorizer refuses.
        """
        context = event["requestContext"]
        kind = context.get("eventType", "MESSAGE")
        authorizer = self._authorizer
        if kind == "CONNECT":
            return _LET_IN if authorizer is None else await authorizer.connect(event)
        if kind == "DISCONNECT":
            if authorizer is None:
                self._forget(context["connectionId"])
            else:
                await authorizer.disconnect(event)
            return _LET_IN
        try:
            peer = EventPeer(context["connectionId"]) if authorizer is None else await authorizer.peer(event)
        except StoreError as problem:
            self._throttle.error("who sent a message could not be told", error=str(problem))
            peer = EventPeer(context["connectionId"])
            peer.send(self._unknown(event))
            await self._poster.post(peer)
            return _LET_IN
        if peer is not None:
            await self._message(peer, event)
        return _LET_IN

    def _unknown(self, event: Mapping[str, Any]) -> bytes:
        """The answer to a message whose sender cannot be found out."""
        try:
            return encode_error(refusals.store_silent(), self._decode(frame_of(event)).id)
        except MalformedError as problem:
            return encode_error(problem.error, problem.request_id)

    async def _message(self, peer: EventPeer, event: Mapping[str, Any]) -> None:
        before = set(self._tasks)
        try:
            self._receive(peer, frame_of(event))
        except MalformedError as problem:
            peer.send(encode_error(problem.error, problem.request_id))
        if mine := self._tasks - before:
            await asyncio.gather(*mine)
        await self._poster.post(peer)
