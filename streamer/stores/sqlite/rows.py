"""Converts records to rows and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from streamer.core.attempts import Attempt, Cause
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import MAX_TEXT, RequestSummary

COLUMNS: Final = (
    "owner",
    "id",
    "action",
    "payload",
    "metadata",
    "connection_id",
    "created_at",
    "max_attempts",
    "priority",
    "status",
    "due_at",
    "attempts",
    "fence",
    "worker",
    "percentage",
    "message",
    "progress_metadata",
    "seq",
    "result",
    "error",
    "updated_at",
    "started_at",
    "finished_at",
    "delivered_at",
    "principal",
    "expires_at",
    "history",
    "address",
)
"""In the order of a row as it is sent between the processes."""

NEW: Final = (
    "owner",
    "id",
    "action",
    "payload",
    "metadata",
    "connection_id",
    "created_at",
    "max_attempts",
    "priority",
    "due_at",
    "updated_at",
    "principal",
    "expires_at",
    "address",
)
"""The columns that vary between new requests, in the order in which a new request is sent."""

INITIAL: Final = {
    "status": "'PENDING'",
    "attempts": "0",
    "fence": "0",
    "worker": "''",
    "percentage": "0.0",
    "message": "''",
    "progress_metadata": "x''",
    "seq": "0",
    "result": "x''",
    "error": "x''",
    "waiting": "1",
}
"""The values of the other columns of a new request, as SQL; columns that are not listed have their defaults. They are
part of the statement, because binding a value costs more.
"""

LARGE: Final = ("payload", "result", "error", "history", "metadata", "principal", "progress_metadata", "message")
"""The columns that decide how large a row is."""

_SUMMARY: Final = (
    "owner",
    "id",
    "action",
    "status",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
    "delivered_at",
    "due_at",
    "expires_at",
    "attempts",
    "max_attempts",
    "priority",
    "fence",
    "worker",
    "percentage",
    "seq",
)

SUMMARY: Final = f"{', '.join(_SUMMARY)}, substr(message, 1, {MAX_TEXT}), error"
"""The columns of a summary."""


class _ErrorHead(msgspec.Struct):
    code: str
    message: str
    retryable: bool = False


_encode = msgspec.json.Encoder().encode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode
_decode_head = msgspec.json.Decoder(_ErrorHead).decode
_decode_error = msgspec.json.Decoder(ErrorBody).decode
_decode_cause = msgspec.json.Decoder(Cause).decode
_decode_principal = msgspec.json.Decoder(Principal).decode
_decode_history = msgspec.json.Decoder(tuple[Attempt, ...]).decode

# An enumeration looks up values and their texts with functions written in Python, which is slower.
_STATUS: Final = {status.value: status for status in Status}
_STATUS_TEXT: Final = {status: status.value for status in Status}


def to_row(record: RequestRecord) -> tuple[Any, ...]:
    """The record's values in the order of `COLUMNS`."""
    return (
        record.owner,
        record.id,
        record.action,
        record.payload,
        _encode(record.metadata) if record.metadata else b"",
        record.connection_id,
        record.created_at,
        record.max_attempts,
        record.priority,
        _STATUS_TEXT[record.status],
        record.due_at,
        record.attempts,
        record.fence,
        record.worker,
        record.percentage,
        record.message,
        record.progress_metadata,
        record.seq,
        record.result,
        encode_error(record.error),
        record.updated_at,
        record.started_at,
        record.finished_at,
        record.delivered_at,
        b"" if record.principal is None else _encode(record.principal),
        record.expires_at,
        _encode(record.history) if record.history else b"",
        record.address,
    )


def to_new_row(record: RequestRecord) -> tuple[Any, ...]:
    """The values of a new request in the order of `NEW`."""
    return (
        record.owner,
        record.id,
        record.action,
        record.payload,
        _encode(record.metadata) if record.metadata else b"",
        record.connection_id,
        record.created_at,
        record.max_attempts,
        record.priority,
        record.due_at,
        record.updated_at,
        b"" if record.principal is None else _encode(record.principal),
        record.expires_at,
        record.address,
    )


def to_record(row: list[Any]) -> RequestRecord:
    """The record of a row."""
    return RequestRecord(
        owner=row[0],
        id=row[1],
        action=row[2],
        payload=row[3],
        metadata=_decode_metadata(row[4]) if row[4] else {},
        connection_id=row[5],
        created_at=row[6],
        max_attempts=row[7],
        priority=row[8],
        status=_STATUS[row[9]],
        due_at=row[10],
        attempts=row[11],
        fence=row[12],
        worker=row[13],
        percentage=row[14],
        message=row[15],
        progress_metadata=row[16],
        seq=row[17],
        result=row[18],
        error=_decode_error(row[19]) if row[19] else None,
        updated_at=row[20],
        started_at=row[21],
        finished_at=row[22],
        delivered_at=row[23],
        principal=_decode_principal(row[24]) if row[24] else None,
        expires_at=row[25],
        history=_decode_history(row[26]) if row[26] else (),
        address=row[27],
    )


def to_summary(row: Sequence[Any]) -> list[Any]:
    """The values of a summary as they are sent between the processes, from a row."""
    *values, error = row
    # A large error is shortened here, before it is sent: its details are skipped, not decoded.
    return [*values, _head(error)]


def summary_of(values: list[Any]) -> RequestSummary:
    """The summary of such values."""
    *shared, message, error = values
    fields = dict(zip(_SUMMARY, shared, strict=True))
    fields["status"] = Status(fields["status"])
    return RequestSummary(**fields, message=message, error=None if error is None else ErrorBody(*error))


def _head(error: bytes) -> list[Any] | None:
    if not error:
        return None
    head = _decode_head(error)
    return [head.code[:MAX_TEXT], head.message[:MAX_TEXT], head.retryable]


def decode_error(error: bytes) -> ErrorBody:
    """The error in a column."""
    return _decode_error(error)


def encode_cause(cause: Cause | None) -> bytes:
    """The cause as it is sent between the processes; empty for none."""
    return b"" if cause is None else _encode(cause)


def decode_cause(cause: bytes) -> Cause | None:
    """The reverse."""
    return _decode_cause(cause) if cause else None


def encode_error(error: ErrorBody | None) -> bytes:
    """The error as its column stores it; empty for none."""
    return b"" if error is None else _encode(error)
