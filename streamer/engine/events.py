"""API Gateway WebSocket events, as `Router.route` takes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.principal import Principal
from streamer.engine.codec import MalformedError


class EventPeer:
    """The connection of one event: it collects what is to be posted.

    Args:
        connection_id: as the event names it.
        known: what was written down when it began; None: it is its own owner, and nobody in particular.
    """

    def __init__(self, connection_id: str, known: ConnectionInfo | None = None) -> None:
        self.id = connection_id
        self.owner = f"connection:{connection_id}" if known is None else known.owner
        self.principal: Principal | None = None if known is None else known.principal
        self.address = ""
        self.running = 0
        self.sent: list[bytes] = []

    def refused(self, _count: int = 1, /) -> None:
        """Part of `Peer`. Each event comes alone: nobody here counts them, nor can the connection be ended."""

    def send(self, data: bytes, /) -> None:
        """Part of `Peer`."""
        self.sent.append(data)

    def send_latest(self, _name: str, data: bytes, _final: bool = False, /) -> None:
        """Part of `Peer`."""
        self.sent.append(data)

    def room(self) -> None:
        """Part of `Peer`: what it collects is posted, and each post is waited for."""


class Authorizer(Protocol):
    """Who may come in, and who it was that did."""

    async def connect(self, event: Mapping[str, Any], /) -> dict[str, Any]:
        """The answer to a CONNECT: `statusCode` 200 lets it in, another refuses it; `headers` and `body` go with it."""
        ...

    async def peer(self, event: Mapping[str, Any], /) -> EventPeer | None:
        """Whose MESSAGE it is; None: nobody's who may still speak, and that has been told.

        Raises:
            StoreError: that cannot be told right now.
        """
        ...

    async def disconnect(self, event: Mapping[str, Any], /) -> None:
        """A DISCONNECT: it may come late, twice or never."""
        ...


def frame_of(event: Mapping[str, Any]) -> bytes:
    """The message that a MESSAGE event carries.

    Raises:
        MalformedError: it says that it is base64, and is not.
    """
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            raise MalformedError(
                Error(VALIDATION_ERROR, "The message is not the base64 that it claims to be")
            ) from None
    # Half a surrogate pair goes through to the codec, which refuses it like any other text that is not UTF-8.
    return body.encode("utf-8", "surrogatepass")
