"""The requests that wait on one connection, and who gets which message."""

from __future__ import annotations

import logging

import msgspec

from streamer.client.errors import ConnectionLost, request_failed
from streamer.client.handle import RequestHandle
from streamer.client.messages import Inbound, decode

logger = logging.getLogger("streamer.client")


class PendingRequests:
    """Handles by request id, each kept until its request has ended."""

    def __init__(self) -> None:
        self._handles: dict[str, RequestHandle] = {}

    def add(self, request_id: str) -> RequestHandle:
        """A new handle.

        Raises:
            ValueError: somebody waits for a request with this id.
        """
        present = self._handles.get(request_id)
        if present is not None and not present.abandoned:
            raise ValueError(f"Request {request_id!r} is already waiting on this connection; await its handle")
        handle = self._handles[request_id] = RequestHandle(request_id)
        return handle

    def receive(self, text: bytes) -> None:
        """Takes one message of the service to the request that it speaks of."""
        try:
            message = decode(text)
        except msgspec.DecodeError as error:
            logger.warning("A message of the service could not be read and is ignored: %s", error)
            return
        if message.request_id is None:
            self._receive_nameless(message, text)
            return
        handle = self._handles.get(message.request_id)
        if handle is not None:
            handle.receive(message)
            if handle.done:
                del self._handles[handle.id]

    def lose(self, url: str, code: int, reason: str) -> None:
        """The connection has ended, and so has the waiting."""
        handles, self._handles = self._handles, {}
        for handle in handles.values():
            handle.end(ConnectionLost(url, code, reason, request_id=handle.id))

    def _receive_nameless(self, message: Inbound, text: bytes) -> None:
        # API Gateway's own errors have neither type nor request id; other types without an id are not for a request.
        if message.type not in ("error", ""):
            return
        # Every request of this connection stays here until it is answered, so if one alone is unanswered, the error
        # can only be meant for it. Among several nobody can tell.
        unanswered = [handle for handle in self._handles.values() if not handle.answered]
        if message.type == "error" and len(unanswered) == 1:
            handle = unanswered[0]
            handle.end(request_failed(message.error, handle.id))
            del self._handles[handle.id]
            return
        logger.warning(
            "The service sent an error that names no request, while %d wait for their first answer: %s",
            len(unanswered),
            text[:500].decode(errors="replace"),
        )
