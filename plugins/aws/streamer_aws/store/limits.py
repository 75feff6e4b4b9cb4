"""The errors for content that does not fit, or does not exist; and a shortened record. Pure functions."""

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
"""Characters of an error's message that are kept when space is short."""


def lightened(record: RequestRecord) -> RequestRecord:
    """The record without details and errors of earlier attempts, which are not needed to continue."""
    error = record.error
    return msgspec.structs.replace(
        record,
        history=tuple(msgspec.structs.replace(attempt, error=None, cause=None) for attempt in record.history),
        error=None if error is None else ErrorBody(error.code, error.message[:MESSAGE], retryable=error.retryable),
        message="",
        progress_metadata=b"",
    )


def missing(key: Key, event: Event) -> Exception:
    """The error of a write to a request that does not exist."""
    if isinstance(event, Progressed | Completed | Failed | Released):
        return LeaseLost(f"request {key[1]!r} no longer exists")
    return not_found(key[1])


def overloaded() -> Error:
    """The error of a throttled table."""
    return Error(
        OVERLOADED,
        "The queue's table is throttled; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def too_large(there: int) -> Error:
    """The error of a request with this size in bytes."""
    return Error(
        VALIDATION_ERROR,
        f"The request needs {there:,} bytes in the queue, but the limit is {MAX_ITEM - RESERVED:,} "
        "(a DynamoDB item has 400 KB); configure a bucket, or send large content by reference",
        {"size": there, "limit": MAX_ITEM - RESERVED},
    )


def too_large_result(there: int) -> Error:
    """The error of a result with this size in bytes."""
    return Error(
        VALIDATION_ERROR,
        f"The result needs {there:,} bytes, which do not fit into the queue together with the request's payload "
        "(a DynamoDB item has 400 KB); configure a bucket, or return large content by reference",
        {"size": there, "limit": MAX_ITEM},
    )
