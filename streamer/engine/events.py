"""API Gateway WebSocket events for `Router.route`, and the answers to their connections."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from streamer.contracts.connections import ConnectionInfo, ConnectionManager
from streamer.core.errors import VALIDATION_ERROR, ConnectionGone, Error, NotSent, StoreError
from streamer.core.principal import Principal
from streamer.engine import refusals
from streamer.engine.codec import Envelope, MalformedError, encode_error
from streamer.engine.log_throttle import LogThrottle

_ACCEPTED: dict[str, Any] = {"statusCode": 200}

PostMessages = Callable[[str, list[bytes]], Awaitable[bool]]
"""Posts messages to a connection; returns whether it accepted them."""


class EventPeer:
    """The connection of one event: it collects the messages to post.

    Args:
        connection_id: from the event.
        info: stored when the connection opened.
        post: posts messages.
    """

    def __init__(self, connection_id: str, info: ConnectionInfo, post: PostMessages) -> None:
        self.id = connection_id
        self.owner = info.owner
        self.principal: Principal | None = info.principal
        self.address = ""
        self.running = 0
        self._collected: list[bytes] = []
        self._post = post

    def refused(self, _count: int = 1, /) -> None:
        """Does nothing: each event is processed separately, so invalid messages are not counted, and the connection
        cannot be closed here.
        """

    def send(self, data: bytes, /) -> None:
        self._collected.append(data)

    def send_latest(self, _name: str, data: bytes, _final: bool = False, /) -> None:
        self._collected.append(data)

    async def post(self) -> bool:
        messages, self._collected = self._collected, []
        return await self._post(self.id, messages)

    def room(self) -> None:
        """None: each post is awaited."""


class Authorizer(Protocol):
    """Decides who may connect, and identifies connections."""

    async def connect(self, event: Mapping[str, Any], /) -> dict[str, Any]:
        """The answer to a CONNECT: `statusCode` 200 accepts it, any other refuses it; `headers` and `body` are sent
        with it.
        """
        ...

    async def identify(self, event: Mapping[str, Any], /) -> ConnectionInfo | None:
        """The connection of a MESSAGE. None: the connection may send no more, and has been closed.

        Raises:
            StoreError: it cannot be identified now.
        """
        ...

    async def disconnect(self, event: Mapping[str, Any], /) -> None:
        """A DISCONNECT: it may come late, twice or never."""
        ...


class EventRouter:
    """Handles events, one at a time or many.

    Args:
        receive: handles one message; from the router.
        decode: decodes a message.
        tasks: that the router has started for messages.
        connections: send the answers.
        forget: called with each connection that has ended.
        throttle: for errors.
        authorizer: decides who may connect; None: every connection may, and is its own owner.
    """

    def __init__(
        self,
        receive: Callable[[EventPeer, bytes], None],
        decode: Callable[[bytes], Envelope],
        tasks: set[asyncio.Future[Any]],
        *,
        connections: ConnectionManager,
        forget: Callable[[str], None],
        throttle: LogThrottle,
        authorizer: Authorizer | None = None,
    ) -> None:
        self._receive = receive
        self._decode = decode
        self._tasks = tasks
        self._connections = connections
        self._forget = forget
        self._throttle = throttle
        self._authorizer = authorizer

    async def route(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Handles one event, answers through the connection manager, and returns when done.

        The authorizer decides about a CONNECT; after a DISCONNECT nothing more is sent to the connection.

        Returns:
            `{"statusCode": 200}`, also when the client got an error as the answer. Another status only for a CONNECT
                that the authorizer refuses.
        """
        kind = event["requestContext"].get("eventType", "MESSAGE")
        if kind == "CONNECT":
            return _ACCEPTED if self._authorizer is None else await self._authorizer.connect(event)
        if kind == "DISCONNECT":
            await self._disconnect(event)
        else:
            await self._message(event)
        return _ACCEPTED

    async def _disconnect(self, event: Mapping[str, Any]) -> None:
        if self._authorizer is None:
            self._forget(event["requestContext"]["connectionId"])
        else:
            await self._authorizer.disconnect(event)

    async def _message(self, event: Mapping[str, Any]) -> None:
        connection_id = event["requestContext"]["connectionId"]
        info: ConnectionInfo | None = ConnectionInfo(f"connection:{connection_id}", None)
        if self._authorizer is not None:
            try:
                info = await self._authorizer.identify(event)
            except StoreError as problem:
                self._throttle.error("the sender of a message could not be identified", error=str(problem))
                await self._post(connection_id, [self._not_identified(event)])
                return
        if info is not None:
            await self._handle(EventPeer(connection_id, info, self._post), event)

    def _not_identified(self, event: Mapping[str, Any]) -> bytes:
        """The answer to a message whose sender cannot be identified."""
        try:
            return encode_error(refusals.store_silent(), self._decode(frame_of(event)).id)
        except MalformedError as problem:
            return encode_error(problem.error, problem.request_id)

    async def _handle(self, peer: EventPeer, event: Mapping[str, Any]) -> None:
        before = set(self._tasks)
        try:
            self._receive(peer, frame_of(event))
        except MalformedError as problem:
            peer.send(encode_error(problem.error, problem.request_id))
        if mine := self._tasks - before:
            await asyncio.gather(*mine)
        await peer.post()

    async def _post(self, connection_id: str, messages: list[bytes]) -> bool:
        for message in messages:
            try:
                await self._connections.send(connection_id, message)
            except ConnectionGone:
                self._forget(connection_id)
                return False
            except NotSent as problem:
                # This affects only one client: an error of the function would alert an operator.
                self._throttle.error(
                    "a connection did not accept an answer", connection_id=connection_id, error=str(problem)
                )
                return False
        return True


def frame_of(event: Mapping[str, Any]) -> bytes:
    """The message in a MESSAGE event.

    Raises:
        MalformedError: it claims to be base64 and is not.
    """
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            raise MalformedError(Error(VALIDATION_ERROR, "The message is not valid base64")) from None
    # The codec refuses half a surrogate pair like any other text that is not UTF-8.
    return body.encode("utf-8", "surrogatepass")
