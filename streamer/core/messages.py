"""The request, the result, progress, and the messages to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from streamer.core.principal import Principal

if TYPE_CHECKING:
    from streamer.core.errors import Error


class Reporter:
    """Accepts progress reports of a handler. This base class, used for requests that are not queued, ignores them."""

    __slots__ = ()

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        """Reports the progress of the work.

        Returns immediately, never raises because of a client, and can be called from any thread.

        Args:
            percentage: 0 to 100; clamped, and never decreasing within one attempt; NaN changes nothing.
            message: one line for the person who waits.
            metadata: JSON values that are sent with this report, in addition to those of `set_metadata`.
        """

    def set_metadata(self, key: str, value: Any) -> None:
        """Sets a JSON value that is sent with every later report of this attempt."""


SILENT: Final = Reporter()


class Request(msgspec.Struct, kw_only=True):
    """A client's request, validated by its action's schema before a handler gets it."""

    id: str
    action: str
    payload: Any = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    connection_id: str = ""
    owner: str = ""
    """The owner: `principal:…`, `connection:…`, or `client:` with a digest of the `client_id`, always the same for a
    client. No other owner can see the request.
    """
    principal: Principal | None = None
    """The authenticated principal, as of the start of the connection or the last renewal; None without
    authentication.
    """
    address: str = ""
    """For queued requests: a keyed digest of the client's address block; empty with authentication."""
    created_at: float = 0.0
    """Seconds since 1970-01-01 UTC."""
    attempt: int = 1
    """1 for the first run; more if the handler has already run, perhaps not to its end."""
    queued: bool = False
    """Whether the request was queued; False when the client waits for a direct answer."""
    progress: Reporter = SILENT
    """Accepts progress reports; ignores them when the request is answered directly."""


class Result(msgspec.Struct, kw_only=True):
    """The result of a handler. A handler may also return plain JSON data, or raise `Error`."""

    data: Any = None
    success: bool = True
    error: Error | None = None
    """Only with `success=False`; sent in addition to the data."""
    metadata: dict[str, Any] | None = None


class ProgressUpdate(msgspec.Struct, kw_only=True):
    """One progress report, as passed on by the reporter."""

    percentage: float
    message: str = ""
    metadata: dict[str, Any] | None = None
    timestamp: float = 0.0


class ErrorBody(msgspec.Struct):
    """`error` in messages and in a store."""

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Response(msgspec.Struct, tag_field="type", tag="response", omit_defaults=True):
    """The answer to a direct request."""

    request_id: str
    success: bool
    data: Any
    error: ErrorBody | None = None
    metadata: dict[str, Any] | None = None


class Acknowledgment(msgspec.Struct, tag_field="type", tag="acknowledgment"):
    """The request is stored durably; progress and one terminal message follow."""

    request_id: str
    seq: int = 0
    status: str = "queued"
    message: str = "Request queued for async processing"


class Progress(msgspec.Struct, tag_field="type", tag="progress", omit_defaults=True):
    """The progress of a queued request."""

    request_id: str
    seq: int
    percentage: float
    message: str
    timestamp: str
    metadata: dict[str, Any] | None = None


class Complete(msgspec.Struct, tag_field="type", tag="complete", omit_defaults=True):
    """The terminal message of a queued request that ran to its end."""

    request_id: str
    seq: int
    success: bool
    result: Any
    timestamp: str
    error: ErrorBody | None = None
    metadata: dict[str, Any] | None = None


class ErrorMessage(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    """A refused request (without `seq`), or the terminal message of a queued one that failed."""

    error: ErrorBody
    request_id: str | None = None
    seq: int | None = None


Outgoing = Response | Acknowledgment | Progress | Complete | ErrorMessage


def error_body(error: Error) -> ErrorBody:
    """The error as it is sent and stored."""
    return ErrorBody(error.code, error.message, error.retryable, error.details)
