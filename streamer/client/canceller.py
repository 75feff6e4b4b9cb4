"""Asks the service to cancel a request."""

from __future__ import annotations

from collections.abc import Callable

from streamer.client.connection_errors import ConnectionFailed, ConnectionLost
from streamer.client.errors import Conflict
from streamer.client.handle import RequestHandle
from streamer.client.messages import encode_request
from streamer.core.errors import CONFLICT
from streamer.core.ids import new_id


class Canceller:
    """Sends the cancellation once the service has answered the request in any way, since it may not know the request
    before.

    Args:
        send: sends a request, now or as soon as there is a connection.
    """

    def __init__(self, send: Callable[[RequestHandle], None]) -> None:
        self._send = send

    def __call__(self, target: RequestHandle) -> RequestHandle:
        """The handle of the cancellation."""
        asked_id = new_id("req_")
        text = encode_request(asked_id, "streamer.cancel", {"request_id": target.id}, None, None)
        # A caller that is being cancelled cannot wait: the cancellation is sent again if the store is unavailable for a
        # moment.
        asked = RequestHandle(asked_id, text, patient=True, canceller=self)

        def ask() -> None:
            if isinstance(target.error, ConnectionLost | ConnectionFailed):
                asked.end(target.error)
            elif target.done:
                asked.end(Conflict(CONFLICT, f"Request {target.id!r} has already ended", request_id=target.id))
            else:
                self._send(asked)

        target.when_answered(ask)
        return asked
