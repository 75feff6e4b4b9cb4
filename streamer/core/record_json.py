"""Records as JSON values, for operators: on the command line and on the admin port."""

from __future__ import annotations

import json
from typing import Any

from streamer.core.attempts import Attempt, Cause
from streamer.core.clock import timestamp
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord
from streamer.core.summaries import RequestSummary


def summary(record: RequestRecord | RequestSummary) -> dict[str, Any]:
    """A request as a listing shows it, as JSON values."""
    return {
        "id": record.id,
        "owner": record.owner,
        "action": record.action,
        "status": record.status.value,
        "attempts": record.attempts,
        "max_attempts": record.max_attempts,
        "percentage": record.percentage,
        "message": record.message,
        "error": _error(record.error),
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
        "finished_at": _time(record.finished_at),
        "delivered_at": _time(record.delivered_at),
    }


def whole(record: RequestRecord) -> dict[str, Any]:
    """Everything that is stored about a request, as JSON values."""
    return {
        **summary(record),
        "started_at": _time(record.started_at),
        "due_at": _time(record.due_at),
        "priority": record.priority,
        "worker": record.worker,
        "fence": record.fence,
        "seq": record.seq,
        "connection_id": record.connection_id,
        "address": record.address,
        "principal": _principal(record.principal),
        "expires_at": _time(record.expires_at),
        "history": [_attempt(one) for one in record.history],
        "metadata": record.metadata,
        "progress_metadata": _json(record.progress_metadata),
        "payload": _json(record.payload),
        "result": _json(record.result),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "fence": attempt.fence,
        "worker": attempt.worker,
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "outcome": attempt.outcome.value,
        "error": _error(attempt.error),
        "cause": _cause(attempt.cause),
    }


def _cause(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    # Lines, so that it is readable in the output.
    return {"type": cause.type, "text": cause.text, "traceback": cause.traceback.splitlines()}


def _principal(principal: Principal | None) -> dict[str, Any] | None:
    if principal is None:
        return None
    return {
        "user_id": principal.user_id,
        "tenant_id": principal.tenant_id,
        "permissions": sorted(principal.permissions),
        "expires_at": _time(principal.expires_at),
        "claims": principal.claims,
    }


def _error(error: ErrorBody | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "retryable": error.retryable, "details": error.details}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def _json(text: bytes) -> Any:
    return json.loads(text) if text else None
