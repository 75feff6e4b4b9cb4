"""What the stores share: their time, errors and cursors, and how they recognise a repeated write."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from typing import Final

import msgspec

from streamer.contracts.stores import Existing
from streamer.core.clock import Clock
from streamer.core.errors import NOT_FOUND, OVERLOADED, VALIDATION_ERROR, Error
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import summarize
from streamer.core.transitions import Completed, Failed

_CURSOR = struct.Struct(">dq")
FULL_RETRY_AFTER_MS = 1000
CLOCK_STEP: Final = 1.0
"""Seconds that a clock may fall behind without counting as set back: time servers correct small errors."""


class Timeline:
    """Wall-clock time that goes back only when the clock was set back by more than `CLOCK_STEP`.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest = -math.inf

    def now(self) -> float:
        """Seconds since 1970 UTC; less than the last time only after a step of the clock."""
        now = self._clock.now()
        if now >= self._newest or self._newest - now > CLOCK_STEP:
            self._newest = now
        return self._newest


def store_behind() -> Error:
    """The error of a store that has too many unwritten requests to accept a new one."""
    return Error(
        OVERLOADED,
        "Requests arrive faster than the queue can be written; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def not_found(request_id: str) -> Error:
    """The error for an unknown request."""
    return Error(NOT_FOUND, f"No request {request_id!r} exists", {"request_id": request_id})


def queue_full(max_queued: int) -> Error:
    """The error of a full queue."""
    return Error(
        OVERLOADED,
        f"The queue is full: {max_queued} requests are waiting; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def owner_full(max_queued_per_owner: int) -> Error:
    """The error for an owner at the limit of waiting requests."""
    return Error(
        OVERLOADED,
        f"{max_queued_per_owner} of your requests are waiting, which is the limit for one owner; "
        "send it again when some have ended",
        {"retry_after_ms": FULL_RETRY_AFTER_MS, "max_queued_per_owner": max_queued_per_owner},
    )


def address_full(max_queued_per_address: int) -> Error:
    """The error for an address at the limit of waiting requests."""
    return Error(
        OVERLOADED,
        f"{max_queued_per_address} requests from your address are waiting, which is the limit for one address; "
        "send it again when some have ended",
        {"retry_after_ms": FULL_RETRY_AFTER_MS, "max_queued_per_address": max_queued_per_address},
    )


def encode_cursor(created_at: float, number: int) -> str:
    """The cursor of the next page: the creation time of the last record, and its number for equal times."""
    return base64.urlsafe_b64encode(_CURSOR.pack(created_at, number)).decode()


def decode_cursor(cursor: str) -> tuple[float, int]:
    """Time and number of a cursor.

    Raises:
        Error: VALIDATION_ERROR: it is not a cursor of this package.
    """
    try:
        created_at, number = _CURSOR.unpack(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, struct.error, UnicodeEncodeError):
        raise Error(VALIDATION_ERROR, "The cursor does not come from this store") from None
    return created_at, number


def same_outcome(record: RequestRecord, event: Completed | Failed) -> bool:
    """Whether the record has already ended this way under the same claim, so that the write is a repetition."""
    if record.fence != event.fence:
        return False
    if isinstance(event, Completed):
        return record.status is Status.COMPLETED and record.result == event.result
    if event.retry_at is not None:
        return record.status is Status.RETRYING and record.due_at == event.retry_at
    return record.status is Status.FAILED and record.error == event.error


def existing(stored: RequestRecord, record: RequestRecord) -> Existing:
    """The answer for a record whose key is already stored."""
    return Existing(summarize(stored), stored.action == record.action and same_json(stored.payload, record.payload))


def same_json(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts have the same value, ignoring the order of keys."""
    # Compared as text and not as objects: for Python 1, 1.0 and true are equal, for JSON they are not.
    return one == other or _in_order(msgspec.json.decode(one)) == _in_order(msgspec.json.decode(other))


_in_order = msgspec.json.Encoder(order="sorted").encode
