"""Sends the answer to a message that is not taken."""

from __future__ import annotations

from collections.abc import Callable

from streamer.contracts.connections import Peer
from streamer.core.errors import Error
from streamer.engine.codec import encode_error

Refuse = Callable[[Peer, str, Error, str | None], None]
"""As `send_refusal`."""


def send_refusal(peer: Peer, _action: str, error: Error, request_id: str | None, /) -> None:
    """Sends the error.

    Args:
        peer: the connection of the message.
        _action: as the client wrote it; empty where the message has none.
        error: the answer.
        request_id: of the message; None where it has none.
    """
    peer.send(encode_error(error, request_id))
