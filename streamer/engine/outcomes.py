"""Outcomes of queued requests, as they are stored and as messages for the owner. Pure functions."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from streamer.core.clock import timestamp
from streamer.core.messages import Complete, ErrorBody, ErrorMessage, Progress, ProgressUpdate, Result
from streamer.core.records import RequestRecord, Status
from streamer.engine.codec import NOT_JSON, body_of, encode, encode_json, not_json
from streamer.engine.sizes import result_too_large


class StoredResult(msgspec.Struct, omit_defaults=True):
    """The body of a `complete` message, kept until it is delivered or purged."""

    success: bool
    result: msgspec.Raw
    error: ErrorBody | None = None
    metadata: dict[str, Any] | None = None


_decode_stored = msgspec.json.Decoder(StoredResult).decode


def stored_result(result: Result, limit: int = sys.maxsize) -> bytes:
    """JSON text of the result for the store.

    Args:
        result: of the handler.
        limit: maximum bytes.

    Raises:
        Error: INTERNAL_ERROR when the handler's data is not JSON, or too large.
    """
    try:
        stored = encode_json(
            StoredResult(
                result.success,
                msgspec.Raw(encode_json(result.data)),
                body_of(result.error),
                result.metadata,
            )
        )
    except NOT_JSON as problem:
        raise not_json(problem) from problem
    if len(stored) > limit:
        raise result_too_large(len(stored), limit)
    return stored


def complete_message(request_id: str, seq: int, stored: bytes, at: float) -> bytes:
    """The `complete` message of a stored result."""
    body = _decode_stored(stored)
    return encode_json(Complete(request_id, seq, body.success, body.result, timestamp(at), body.error, body.metadata))


def terminal_message(record: RequestRecord) -> bytes:
    """The terminal message of a record that has ended."""
    if record.status is Status.COMPLETED:
        return complete_message(record.id, record.seq, record.result, record.finished_at or record.updated_at)
    assert record.error is not None, "a record that FAILED or was CANCELLED has an error"
    return encode_json(ErrorMessage(record.error, record.id, record.seq))


def progress_message(request_id: str, seq: int, update: ProgressUpdate) -> bytes:
    """The `progress` message of one report; metadata that is not JSON raises Error."""
    return encode(
        Progress(request_id, seq, update.percentage, update.message, timestamp(update.timestamp), update.metadata)
    )
