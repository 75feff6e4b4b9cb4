"""What a client raises.

The tree::

    StreamerError
    ├── ConnectionFailed      no connection could be opened
    ├── ConnectionLost        the connection ended while something waited on it
    │   ├── NotAnswered       again and again, while this one request was on its way
    │   └── MessageTooLarge   the request, or what came of it, is over the limit of one message
    └── RequestFailed         the service answered with an error; one subclass for each code of its own
        ├── ValidationFailed  NotFound  Unauthorized  Forbidden  InvalidAction  Conflict
        └── InternalError  TimedOut  RateLimited  Overloaded  Cancelled
"""

from __future__ import annotations

from typing import Any, Final

from streamer.core import errors as codes
from streamer.core.errors import StreamerError


class RequestFailed(StreamerError):
    """The service answered with an error, or with a result that says `success: false`.

    Attributes:
        code: what happened, for programs: one of `streamer.core.errors.CODES` or a handler's own.
        message: what happened, for people.
        details: JSON values that belong to the code.
        retryable: whether the same request may succeed later.
        request_id: the request; None when the service could not read which one it was.
        data: what the result held beside its error, if anything.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        retryable: bool = False,
        request_id: str | None = None,
        data: Any = None,
    ) -> None:
        self.code = code
        self.message = message
        self.details: dict[str, Any] = {} if details is None else details
        self.retryable = retryable
        self.request_id = request_id
        self.data = data
        super().__init__(f"{code}: {message}")
        # The message names the first violation; a traceback shows all of them below it.
        for violation in self.violations:
            self.add_note(f"{violation.get('path') or 'the payload'}: {violation.get('message')}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The notes come with the attributes, so they must not be made a second time.
        return _bare, (type(self), str(self)), self.__dict__

    @property
    def violations(self) -> list[dict[str, Any]]:
        """Every violation of the action's schema, each with `path` (a JSON Pointer into the payload) and `message`."""
        listed = self.details.get("errors")
        return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next attempt, where the service said so."""
        milliseconds = self.details.get("retry_after_ms")
        return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


class ValidationFailed(RequestFailed):
    """VALIDATION_ERROR: the payload or the message is not what the action takes; see `violations`."""


class NotFound(RequestFailed):
    """NOT_FOUND: there is no such thing, or it belongs to someone else."""


class Unauthorized(RequestFailed):
    """UNAUTHORIZED: the service does not know who asks."""


class Forbidden(RequestFailed):
    """FORBIDDEN: the service knows who asks, and says no."""


class InvalidAction(RequestFailed):
    """INVALID_ACTION: no such action; `details["did_you_mean"]` lists near misses."""


class Conflict(RequestFailed):
    """CONFLICT: the id already stands for another request of the same owner."""


class InternalError(RequestFailed):
    """INTERNAL_ERROR: the handler broke; the service's log says how, under the request's id."""


class TimedOut(RequestFailed):
    """TIMEOUT: the service gave the request up. The client's own `timeout` raises TimeoutError instead."""


class RateLimited(RequestFailed):
    """RATE_LIMITED: too many requests; see `retry_after`."""


class Overloaded(RequestFailed):
    """OVERLOADED: the queue is full or the service is shutting down; see `retry_after`."""


class Cancelled(RequestFailed):
    """CANCELLED: its owner or an operator ended the request."""


def _bare(kind: type[RequestFailed], text: str) -> RequestFailed:
    return kind.__new__(kind, text)


_BY_CODE: Final[dict[str, type[RequestFailed]]] = {
    codes.VALIDATION_ERROR: ValidationFailed,
    codes.NOT_FOUND: NotFound,
    codes.UNAUTHORIZED: Unauthorized,
    codes.FORBIDDEN: Forbidden,
    codes.INVALID_ACTION: InvalidAction,
    codes.CONFLICT: Conflict,
    codes.INTERNAL_ERROR: InternalError,
    codes.TIMEOUT: TimedOut,
    codes.RATE_LIMITED: RateLimited,
    codes.OVERLOADED: Overloaded,
    codes.CANCELLED: Cancelled,
}


def request_failed(error: Any, request_id: str | None, data: Any = None) -> RequestFailed:
    """The exception for an `error` object of the wire; what has no known shape becomes an INTERNAL_ERROR."""
    if not isinstance(error, dict):
        return InternalError(
            codes.INTERNAL_ERROR,
            "The request failed, and the service did not say why",
            {} if error is None else {"error": error},
            request_id=request_id,
            data=data,
        )
    code = str(error.get("code") or codes.INTERNAL_ERROR)
    details = error.get("details")
    return _BY_CODE.get(code, RequestFailed)(
        code,
        str(error.get("message") or "The service gave no message"),
        details if isinstance(details, dict) else {},
        retryable=error.get("retryable") is True,
        request_id=request_id,
        data=data,
    )
