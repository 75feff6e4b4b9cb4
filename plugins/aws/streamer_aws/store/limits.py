"""What is said where something does not fit, or is not there; and a record that takes less capacity. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from streamer.contracts.stores import Key
from streamer.core.errors import OVERLOADED, VALIDATION_ERROR, Error, LeaseLost
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord
from streamer.core.transitions import Completed, Event, Failed, Progressed, Released
from streamer.queue.common import FULL_RETRY_AFTER_MS, not_found
from streamer_aws.store.blobs import MAX_ITEM, RESERVED

MESSAGE: Final = 1000
"""Characters of an error's message that are kept where room is short."""


def lightened(record: RequestRecord) -> RequestRecord:
    """The record without what takes room and nobody needs to go on: what earlier attempts ended with, and details."""
    error = record.error
    return msgspec.structs.replace(
        record,
        history=tuple(msgspec.structs.replace(attempt, error=None, cause=None) for attempt in record.history),
        error=None if error is None else ErrorBody(error.code, error.message[:MESSAGE], retryable=error.retryable),
        message="",
        progress_metadata=b"",
    )


def missing(key: Key, event: Event) -> Exception:
    """The error of a request that is not there, for whoever wanted to write this."""
    if isinstance(event, Progressed | Completed | Failed | Released):
        return LeaseLost(f"request {key[1]!r} no longer exists")
    return not_found(key[1])


def overloaded() -> Error:
    """The error of a table that throttles."""
    return Error(
        OVERLOADED,
        "The queue's table takes no more at this time; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def too_large(there: int) -> Error:
    """The error of a request of so many bytes."""
    return Error(
        VALIDATION_ERROR,
        f"The request takes {there:,} bytes in the queue, which holds {MAX_ITEM - RESERVED:,} of one at most "
        "(a DynamoDB item has 400 KB); declare a bucket for more, or send what is large by reference",
        {"size": there, "limit": MAX_ITEM - RESERVED},
    )


def too_large_result(there: int) -> Error:
    """The error of a result of so many bytes."""
    return Error(
        VALIDATION_ERROR,
        f"The result takes {there:,} bytes, which do not fit beside the request's payload into the queue "
        "(a DynamoDB item has 400 KB); declare a bucket for more, or let the handler return what is large by reference",
        {"size": there, "limit": MAX_ITEM},
    )
