"""API Gateway WebSocket events, as `Router.route` takes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.principal import Principal
from streamer.engine.codec import MalformedError


class EventPeer:
    """The connection of one event: it collects what is to be posted."""

    def __init__(self, connection_id: str) -> None:
        self.id = connection_id
        self.owner = f"connection:{connection_id}"
        self.principal: Principal | None = None
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
