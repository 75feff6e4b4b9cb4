"""The requests that wait, and who gets which message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from streamer.client.attempts import Break, blamed, blamed_later
from streamer.client.errors import (
    ConnectionLost,
    MessageTooLarge,
    Overloaded,
    RateLimited,
    RequestFailed,
    request_failed,
)
from streamer.client.handle import RequestHandle
from streamer.client.messages import Inbound, decode
from streamer.core.errors import INTERNAL_ERROR, StreamerError

MOST_SENDS: Final = 10
"""How often a request is sent to a service whose functions fail, before it fails itself."""

logger = logging.getLogger("streamer.client")


class PendingRequests:
    """Handles by request id, each kept until its request has ended.

    Args:
        reconnect: whether there will be another connection after this one.
    """

    def __init__(self, *, reconnect: bool = False) -> None:
        self._reconnect = reconnect
        self.when_busy: Callable[[RequestHandle, float | None], None] | None = None
        """Called with a request that was sent again and is refused for now, and the seconds to wait."""
        self.when_broken: Callable[[], None] | None = None
        """Called when what stands between this client and the service has failed, and cannot say for whom."""
        self._handles: dict[str, RequestHandle] = {}

    def add(self, handle: RequestHandle) -> None:
        """Takes a handle in.

        Raises:
            ValueError: somebody waits for a request with this id.
        """
        if self.find(handle.id) is not None:
            raise ValueError(f"Request {handle.id!r} is already waiting on this connection; await its handle")
        self._handles[handle.id] = handle

    def find(self, request_id: str) -> RequestHandle | None:
        """The handle that somebody waits on, if there is one."""
        present = self._handles.get(request_id)
        return None if present is None or present.abandoned else present

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
            if handle.text is not None and handle.resend and (refusal := _for_now(message)) is not None:
                if self._reconnect and refusal.details.get("reconnect") is True:
                    # The service is shutting down: this connection ends soon, and the next one sends it again.
                    return
                if (handle.sends > 1 or handle.patient) and self.when_busy is not None:
                    # What was sent before may have been stored; that the service is busy now says nothing about it.
                    self.when_busy(handle, refusal.retry_after)
                    return
            handle.receive(message, text)
            if handle.done:
                self._handles.pop(handle.id, None)

    def end(self, handle: RequestHandle, error: StreamerError) -> None:
        """One request has failed."""
        if self._handles.get(handle.id) is handle:
            del self._handles[handle.id]
        handle.end(error)

    def fail(self, error: StreamerError) -> None:
        """All have failed for the same reason."""
        for handle in list(self._handles.values()):
            self.end(handle, error)

    def lose(self, url: str, code: int, reason: str) -> None:
        """The connection has ended, and so has the waiting."""
        for handle in list(self._handles.values()):
            self.end(handle, ConnectionLost(url, code, reason, request_id=handle.id))

    def blame(self, how: Break) -> bool:
        """A connection has ended: ends the requests that it is blamed on.

        Returns:
            whether there were any.
        """
        handles = list(self._handles.values())
        verdicts = blamed([one for one in handles if one.attempts.sent and not one.helper and not one.done], how)
        for handle, error in verdicts:
            self.end(handle, error)
        for handle in handles:
            handle.attempts.connection_ended()
            if verdicts and how.refused:
                handle.attempts.refusals = 0  # the cause was another request
        return bool(verdicts)

    def blame_later(self, how: Break, process: str | None) -> None:
        """There is another connection, to that process of the service: ends what the last one is blamed on by now."""
        for handle, error in blamed_later([one for one in self._handles.values() if not one.helper], how, process):
            self.end(handle, error)

    def too_large(self, url: str, request_id: str | None, limit: int) -> bool:
        """A message for a request was refused unread. Returns whether it is known for which one."""
        handle = None if request_id is None else self._handles.get(request_id)
        if handle is not None:
            self.end(handle, MessageTooLarge(url, request_id=handle.id, limit=limit))
        return request_id is not None

    def interrupt(self, url: str, code: int, reason: str) -> bool:
        """The connection has ended and there will be another: ends only what must not be sent twice.

        Returns:
            whether anybody still waits.
        """
        for handle in list(self._handles.values()):
            if handle.text is not None and not handle.resend:
                self.end(handle, ConnectionLost(url, code, reason, request_id=handle.id))
        return any(not handle.abandoned for handle in self._handles.values())

    def forget(self) -> None:
        """The loop of all that waited has ended, or is another process's."""
        self._handles.clear()

    def forget_abandoned(self) -> list[RequestHandle]:
        """What somebody still waits for, in the order in which it was asked for; the rest is forgotten."""
        abandoned = [handle for handle in self._handles.values() if handle.abandoned]
        for handle in abandoned:
            del self._handles[handle.id]
        waiting = list(self._handles.values())
        for handle in abandoned:
            handle.release()
        return waiting

    def _receive_nameless(self, message: Inbound, text: bytes) -> None:
        # API Gateway's own errors have neither type nor request id; other types without an id are not for a request.
        if message.type not in ("error", ""):
            return
        # Every request of this connection stays here until it is answered, so if one alone is unanswered, the error
        # can only be meant for it. Among several nobody can tell.
        unanswered = [handle for handle in self._handles.values() if not handle.answered]
        if message.type == "error" and len(unanswered) == 1:
            handle = unanswered[0]
            self.end(handle, request_failed(message.error, handle.id))
            return
        if not message.type and message.message and self._reconnect and self.when_broken is not None:
            self._start_anew(unanswered, str(message.message), self.when_broken)
            return
        logger.warning(
            "The service sent an error that names no request, while %d wait for their first answer: %s",
            len(unanswered),
            text[:500].decode(errors="replace"),
        )

    def _start_anew(self, unanswered: list[RequestHandle], reason: str, begin: Callable[[], None]) -> None:
        """API Gateway's function has failed in one of these requests, and only another connection sorts out which.

        What was acknowledged is resumed there, and the rest sent again, but not without end: one of them may be what
        the function fails of.
        """
        for handle in unanswered:
            if handle.sends >= MOST_SENDS:
                error = {"code": INTERNAL_ERROR, "message": f"{reason}, each of {handle.sends} times"}
                self.end(handle, request_failed(error, handle.id))
        if unanswered:
            begin()


def _for_now(message: Inbound) -> RequestFailed | None:
    """The refusal of a request that may be taken later."""
    if message.type != "error":
        return None
    refusal = request_failed(message.error, message.request_id)
    return refusal if isinstance(refusal, RateLimited | Overloaded) else None
