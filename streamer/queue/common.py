"""What the stores share: their time, errors and cursor, and when a repeated write is the same write."""

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
"""Seconds that a clock may fall behind without having been put back: time servers correct small errors."""


class Timeline:
    """Wall-clock time that goes back only when the clock was put back by more than `CLOCK_STEP`.

    Args:
        clock: where it comes from.
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
    """The error of a store that has so much to write that it takes nothing new."""
    return Error(
        OVERLOADED,
        "The queue cannot be written as fast as requests come; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


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


def owner_full(max_queued_per_owner: int) -> Error:
    """The error of an owner who may have no more in the queue."""
    return Error(
        OVERLOADED,
        f"{max_queued_per_owner} of your requests wait already, which is as many as one owner may have; "
        "send it again when some have ended",
        {"retry_after_ms": FULL_RETRY_AFTER_MS, "max_queued_per_owner": max_queued_per_owner},
    )


def address_full(max_queued_per_address: int) -> Error:
    """The error of an address that may have no more in the queue."""
    return Error(
        OVERLOADED,
        f"{max_queued_per_address} requests from your address wait already, which is as many as one address may have; "
        "send it again when some have ended",
        {"retry_after_ms": FULL_RETRY_AFTER_MS, "max_queued_per_address": max_queued_per_address},
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


def existing(stored: RequestRecord, record: RequestRecord) -> Existing:
    """The answer to a record under whose key another was already stored."""
    return Existing(summarize(stored), stored.action == record.action and same_json(stored.payload, record.payload))


def same_json(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts say the same, whatever the order of their keys."""
    # As text and not as objects: Python holds 1, 1.0 and true for equal, JSON does not.
    return one == other or _in_order(msgspec.json.decode(one)) == _in_order(msgspec.json.decode(other))


_in_order = msgspec.json.Encoder(order="sorted").encode
