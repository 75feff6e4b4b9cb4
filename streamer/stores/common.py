"""What the stores share: their errors, their cursor, and when a repeated write is the same write."""

from __future__ import annotations

import base64
import binascii
import struct

from streamer.core.errors import NOT_FOUND, OVERLOADED, VALIDATION_ERROR, Error
from streamer.core.records import Completed, Failed, RequestRecord, Status

_CURSOR = struct.Struct(">dq")
FULL_RETRY_AFTER_MS = 1000


def not_found(request_id: str) -> Error:
    """The error of a request that is not there."""
    return Error(NOT_FOUND, f"No request {request_id!r} is known", {"request_id": request_id})


def queue_full(max_queued: int) -> Error:
    """The error of a queue that takes no more."""
    return Error(
        OVERLOADED,
        f"The queue is full: {max_queued} requests wait; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def encode_cursor(created_at: float, number: int) -> str:
    """Where the next page begins: after the record that was made then, the number deciding among equals."""
    return base64.urlsafe_b64encode(_CURSOR.pack(created_at, number)).decode()


def decode_cursor(cursor: str) -> tuple[float, int]:
    """Time and number of a cursor.

    Raises:
        Error: VALIDATION_ERROR; it is not one of ours.
    """
    try:
        created_at, number = _CURSOR.unpack(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, UnicodeEncodeError):
        raise Error(VALIDATION_ERROR, "The cursor is not one that this store gave") from None
    return created_at, number


def same_outcome(record: RequestRecord, event: Completed | Failed) -> bool:
    """Whether the record already ended this way under the same claim, so that the write is a repetition."""
    if record.fence != event.fence:
        return False
    if isinstance(event, Completed):
        return record.status is Status.COMPLETED and record.result == event.result
    if event.retry_at is not None:
        return record.status is Status.RETRYING and record.due_at == event.retry_at
    return record.status is Status.FAILED and record.error == event.error
