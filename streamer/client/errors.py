"""The errors of a client.

The tree::

    StreamerError
    ├── ConnectionFailed      the connection could not be opened
    ├── ConnectionLost        the connection ended while a caller waited on it
    │   ├── NotAnswered       repeatedly, while this one request was unanswered
    │   └── MessageTooLarge   the request, or a message about it, exceeds the limit for one message
    └── RequestFailed         the service answered with an error; one subclass for each of its own codes
        ├── ValidationFailed  NotFound  Unauthorized  Forbidden  InvalidAction  Conflict
        └── InternalError  TimedOut  RateLimited  Overloaded  Cancelled
"""

from __future__ import annotations

from typing import Any, Final

from streamer.core import errors as codes
from streamer.core.errors import StreamerError


class RequestFailed(StreamerError):
    """The service answered with an error, or with a result that has `success: false`.

    Attributes:
        code: what happened, for programs: one of `streamer.core.errors.CODES` or a handler's own.
        message: what happened, for people.
        details: JSON values that belong to the code.
        retryable: whether the same request may succeed later.
        request_id: the request; None when the service could not read its id.
        data: the data of the result, in addition to its error, if there is any.
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
        # The message names the first violation; the notes below a traceback list all of them.
        for violation in self.violations:
            self.add_note(f"{violation.get('path') or 'the payload'}: {violation.get('message')}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The notes are copied with the attributes, so they must not be added again.
        return _bare, (type(self), str(self)), self.__dict__

    @property
    def violations(self) -> list[dict[str, Any]]:
        """Every violation of the action's schema, each with `path` (a JSON Pointer into the payload) and `message`."""
        listed = self.details.get("errors")
        return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next attempt, if the service gave them."""
        milliseconds = self.details.get("retry_after_ms")
        return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


class ValidationFailed(RequestFailed):
    """VALIDATION_ERROR: the payload or the message is invalid; see `violations`."""


class NotFound(RequestFailed):
    """NOT_FOUND: it does not exist, or belongs to another owner."""


class Unauthorized(RequestFailed):
    """UNAUTHORIZED: the client is not authenticated."""


class Forbidden(RequestFailed):
    """FORBIDDEN: the client is authenticated, but not allowed to do this."""


class InvalidAction(RequestFailed):
    """INVALID_ACTION: no such action; `details["did_you_mean"]` lists similar names."""


class Conflict(RequestFailed):
    """CONFLICT: the id belongs to another request of the same owner."""


class InternalError(RequestFailed):
    """INTERNAL_ERROR: the handler failed; the service's log has the cause, under the request's id."""


class TimedOut(RequestFailed):
    """TIMEOUT: the service stopped the request. The client's own `timeout` raises TimeoutError instead."""


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
    """The exception for an `error` object of a message; an unknown form becomes an INTERNAL_ERROR."""
    if not isinstance(error, dict):
        return InternalError(
            codes.INTERNAL_ERROR,
            "The request failed, and the service gave no reason",
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
