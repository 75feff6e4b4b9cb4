"""Errors of a client without a connection, or whose connection ended while a caller waited; see `errors`."""

from __future__ import annotations

from functools import partial
from typing import Any

from streamer.client.advice import on_close
from streamer.client.machine.state import TOO_LARGE, final_close, final_refusal
from streamer.core.errors import StreamerError


class ConnectionFailed(StreamerError):
    """The connection could not be opened. The message is one line with the address and, if known, what to do.

    Attributes:
        url: the address without its query, which may contain secrets.
        reason: what happened.
        status: the HTTP status with which the server refused the handshake; None when there was none.
        advice: what to do; may be empty.
        reconnect: whether trying again may help. It does not when the server refused with 400, 401, 403 or 404.
    """

    def __init__(
        self, url: str, reason: str, *, status: int | None = None, advice: str = "", reconnect: bool | None = None
    ) -> None:
        super().__init__(f"Cannot connect to {url}: {reason}{advice and '; '}{advice}")
        self.url = url
        self.reason = reason
        self.status = status
        self.advice = advice
        self.reconnect = not final_refusal(status) if reconnect is None else reconnect

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(type(self), status=self.status, advice=self.advice, reconnect=self.reconnect)
        return again, (self.url, self.reason), self.__dict__


class ConnectionLost(StreamerError):
    """The connection ended while a caller waited on it, or had ended before it was used.

    Attributes:
        url: the address without its query.
        code: the close code (RFC 6455, section 7.4); 1006 when the connection ended without one.
        reason: the reason in the close message; may be empty.
        request_id: the request of the caller, if there is one.
    """

    def __init__(self, url: str, code: int, reason: str = "", *, request_id: str | None = None) -> None:
        text = f"The connection to {url} ended ({code} {reason}".rstrip() + ")"
        if request_id is not None:
            text += f" before request {request_id!r} was answered"
        if advice := on_close(code):
            text += f"; {advice}"
        if request_id is not None:
            text += (
                "; if it was queued, it continues: "
                f"connect again with the same client_id (or as the same user) and ask status({request_id!r})"
            )
        super().__init__(text)
        self.url = url
        self.code = code
        self.reason = reason
        self.request_id = request_id

    @property
    def reconnect(self) -> bool:
        """Whether connecting again may help the request.

        False for the codes 3500 to 3999, and for those that the client's messages cause: 1003, 1007, 1008 and 1009.
        True for all others, including those from 4000. After 1009, sending the same request again fails again; a client
        that reconnects does so for its other requests.
        """
        return not final_close(self.code)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), request_id=self.request_id), (self.url, self.code, self.reason), self.__dict__


class NotAnswered(ConnectionLost):
    """Each time the request was sent, the connection ended before its answer. It is not sent again.

    The service may have run it each time. The request itself may cause this, by crashing the service or by taking
    longer than a proxy allows. If `stored`, the request is queued, and the connection ended each time the client tried
    to resume it.

    Attributes:
        times: how many connections ended in a row.
        stored: whether the service had acknowledged the request; then it continues.
    """

    def __init__(
        self,
        url: str,
        code: int,
        reason: str = "",
        *,
        request_id: str | None = None,
        times: int = 0,
        stored: bool = False,
    ) -> None:
        super().__init__(url, code, reason, request_id=request_id)
        ended = f"each time the connection ended first (most recently with {code} {reason}".rstrip() + ")"
        if stored:
            text = (
                f"Request {request_id!r} is queued and continues, but {url} was asked {times} times for its outcome"
                f", and {ended}. Find out what ends the connections, then ask status({request_id!r})"
            )
        else:
            text = (
                f"Request {request_id!r} was not answered: it was sent {times} times to {url}, and {ended}. It is not "
                "sent again. The service may have run it each time: check its log, and whether the timeout of a proxy "
                "is shorter than the request takes. If it was queued, it continues: "
                f"ask status({request_id!r})"
            )
        self.args = (text,)
        self.times = times
        self.stored = stored

    @property
    def reconnect(self) -> bool:
        """False: another connection would probably end in the same way."""
        return False

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(type(self), request_id=self.request_id, times=self.times, stored=self.stored)
        return again, (self.url, self.code, self.reason), self.__dict__


class MessageTooLarge(ConnectionLost):
    """The request, or a message of the service about it, is larger than the receiver accepts. Other requests continue.

    Attributes:
        code: 1009, the close code for this error.
        request_id: the request. The service may have run it; if it was queued, its result is stored there.
        limit: maximum bytes of a message that this client accepts, its `max_message_size`; None when the service
            refused.
        sent: bytes of the request that the service refused; None when the client refused the answer.
    """

    def __init__(
        self,
        url: str,
        reason: str = "",
        *,
        request_id: str | None = None,
        limit: int | None = None,
        sent: int | None = None,
    ) -> None:
        super().__init__(url, TOO_LARGE, reason, request_id=request_id)
        if sent is not None:
            said = f" ({reason})" if reason else ""
            text = (
                f"Request {request_id!r} is too large: the service does not accept a message of {sent:,} bytes{said}; "
                "send less, or raise server.max_message_size in its configuration"
            )
        else:
            text = (
                f"The answer to request {request_id!r} is too large: it exceeds the {limit:,} bytes of one message "
                "that this client accepts; raise max_message_size, or make the service send less"
            )
        self.args = (text,)
        self.limit = limit
        self.sent = sent

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(type(self), request_id=self.request_id, limit=self.limit, sent=self.sent)
        return again, (self.url, self.reason), self.__dict__
