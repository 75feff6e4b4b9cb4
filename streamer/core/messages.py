"""What travels: the request, the result, progress, and the messages that go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from streamer.core.principal import Principal

if TYPE_CHECKING:
    from streamer.core.errors import Error


class Reporter:
    """Where a handler says how far it is. This one, given to requests that nobody waits for in the queue, is silent."""

    __slots__ = ()

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        """Says how far the work is.

        It returns at once, never raises because of a client, and may be called from any thread.

        Args:
            percentage: 0 to 100; clamped, never falling within one attempt; not a number counts as no change.
            message: one line for the person who waits.
            metadata: JSON values that go out with this report, beside those of `set_metadata`.
        """

    def set_metadata(self, key: str, value: Any) -> None:
        """Sets one JSON value that goes out with every later report of this attempt."""


SILENT: Final = Reporter()


class Request(msgspec.Struct, kw_only=True):
    """One request of a client, validated against its action's schema before a handler sees it."""

    id: str
    action: str
    payload: Any = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    connection_id: str = ""
    owner: str = ""
    """Whose request it is: `principal:…`, `connection:…`, or `client:` with a digest of the `client_id`, the same each
    time. Nobody else sees it."""
    principal: Principal | None = None
    """Who asked, as proved when the connection began or last renewed its proof; None without authentication."""
    address: str = ""
    """Of a queued one: a keyed digest of the block of addresses that it came from; empty with authentication."""
    created_at: float = 0.0
    """Seconds since 1970-01-01 UTC."""
    attempt: int = 1
    """1 for the first run; above 1 the handler has run before, perhaps not to its end."""
    queued: bool = False
    """Whether it came through the queue; False when the client waits for a direct answer."""
    progress: Reporter = SILENT
    """Where a handler reports how far it is; silent when the request is answered at once."""


class Result(msgspec.Struct, kw_only=True):
    """What a handler gives back. A handler may also return plain JSON data, or raise `Error`."""

    data: Any = None
    success: bool = True
    error: Error | None = None
    """Only with `success=False`; goes out beside the data."""
    metadata: dict[str, Any] | None = None


class ProgressUpdate(msgspec.Struct, kw_only=True):
    """One report of progress, as it leaves the reporter."""

    percentage: float
    message: str = ""
    metadata: dict[str, Any] | None = None
    timestamp: float = 0.0


class ErrorBody(msgspec.Struct):
    """`error` on the wire and in a store."""

    code: str
    message: str
    retryable: bool = False
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Response(msgspec.Struct, tag_field="type", tag="response", omit_defaults=True):
    """The direct answer to a request that was not queued."""

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
    """How far a queued request is."""

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
    """A refused request (no `seq`), or the terminal message of a queued one that failed."""

    error: ErrorBody
    request_id: str | None = None
    seq: int | None = None


Outgoing = Response | Acknowledgment | Progress | Complete | ErrorMessage


def error_body(error: Error) -> ErrorBody:
    """The error as it goes out and as it is stored."""
    return ErrorBody(error.code, error.message, error.retryable, error.details)
