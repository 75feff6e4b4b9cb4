"""A request as listings show it: small, even if its payload, result or errors are large."""

from __future__ import annotations

from typing import Final

import msgspec

from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status

MAX_TEXT: Final = 1000
"""Maximum characters of a message in a summary; the record has the whole text."""


class RequestSummary(msgspec.Struct, kw_only=True, frozen=True):
    """A queued request without its payload, metadata, result and history. `(owner, id)` is its key.

    Each field has the same meaning as in `RequestRecord`. Times are seconds since 1970 UTC.
    """

    owner: str
    id: str
    action: str
    status: Status
    created_at: float
    updated_at: float
    started_at: float | None = None
    finished_at: float | None = None
    delivered_at: float | None = None
    due_at: float | None
    expires_at: float | None = None
    attempts: int = 0
    max_attempts: int = 3
    priority: int = 0
    fence: int = 0
    worker: str = ""
    percentage: float = 0.0
    message: str = ""
    """The first `MAX_TEXT` characters."""
    seq: int = 0
    error: ErrorBody | None = None
    """Without details, and with the first `MAX_TEXT` characters of the message."""

    @property
    def key(self) -> tuple[str, str]:
        """Owner and id."""
        return (self.owner, self.id)

    @property
    def terminal(self) -> bool:
        """Whether the request has ended."""
        return self.due_at is None


_SHARED: Final = tuple(name for name in RequestSummary.__struct_fields__ if name not in ("message", "error"))


def summarize(record: RequestRecord) -> RequestSummary:
    """The summary of a record."""
    return RequestSummary(
        **{name: getattr(record, name) for name in _SHARED},
        message=record.message[:MAX_TEXT],
        error=None if record.error is None else shorten(record.error),
    )


def shorten(error: ErrorBody) -> ErrorBody:
    """The error in a summary."""
    return ErrorBody(error.code[:MAX_TEXT], error.message[:MAX_TEXT], retryable=error.retryable)
