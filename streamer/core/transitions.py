"""The transitions of a queued request. `advance` is the only place that implements them.

::

    PENDING → PROCESSING → COMPLETED | FAILED | CANCELLED
                 ↓  ↑
              RETRYING (due at)

Each claim increments `fence`, a fencing token. A write needs the fence of the newest claim, so a worker whose request
was claimed again can no longer write.
"""

from __future__ import annotations

import msgspec

from streamer.core.attempts import Attempt, Cause, LastReport, Outcome, remembered
from streamer.core.errors import CANCELLED, LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.records import (
    RequestRecord,
    Status,
    abandoned_error,
    due,
    exhausted,
    expired,
    expired_error,
    first_seq,
)


class Claimed(msgspec.Struct, frozen=True):
    """A worker claims the request. Allowed once it is due; an expired lease makes it due."""

    at: float
    worker: str
    lease_until: float


class Renewed(msgspec.Struct, frozen=True):
    """The worker that holds the claim is alive."""

    at: float
    fence: int
    lease_until: float


class Progressed(msgspec.Struct, frozen=True):
    """The progress of the claim's handler."""

    at: float
    fence: int
    seq: int
    percentage: float
    message: str = ""
    metadata: bytes = b""


class Completed(msgspec.Struct, frozen=True):
    """The claim's handler ended with a result."""

    at: float
    fence: int
    seq: int
    result: bytes
    progress: LastReport | None = None


class Failed(msgspec.Struct, frozen=True):
    """The claim's handler ended with an error. With `retry_at` the request is attempted again then; without it, it is
    FAILED.
    """

    at: float
    fence: int
    seq: int
    error: ErrorBody
    retry_at: float | None = None
    cause: Cause | None = None
    progress: LastReport | None = None


class Released(msgspec.Struct, frozen=True):
    """The worker returns the request unchanged (a drain); the attempt does not count."""

    at: float
    fence: int


class Abandoned(msgspec.Struct, frozen=True):
    """The claim's worker died and the request has no attempts left."""

    at: float


class Expired(msgspec.Struct, frozen=True):
    """The request waited for an attempt until `expires_at`."""

    at: float


class Cancelled(msgspec.Struct, frozen=True):
    """The owner or an operator cancels it, queued or running."""

    at: float
    message: str = "The request was cancelled"


class Requeued(msgspec.Struct, frozen=True):
    """An operator runs a FAILED or CANCELLED request again, with a new count of attempts."""

    at: float


class Delivered(msgspec.Struct, frozen=True):
    """The outcome was delivered to the owner."""

    at: float


Event = (
    Claimed
    | Renewed
    | Progressed
    | Completed
    | Failed
    | Released
    | Abandoned
    | Expired
    | Cancelled
    | Requeued
    | Delivered
)


def advance(record: RequestRecord, event: Event) -> RequestRecord:
    """The record after the event.

    Raises:
        LeaseLost: the event's fence is not the record's newest, or the record is not PROCESSING.
        TransitionRefused: the record's state does not allow the event.
    """
    match event:
        case Claimed():
            return _claim(record, event)
        case Abandoned():
            return _abandon(record, event)
        case Expired():
            return _expire(record, event)
        case Cancelled():
            return _cancel(record, event)
        case Requeued():
            return _requeue(record, event)
        case Delivered():
            return _deliver(record, event)
        case _:
            return _by_holder(record, event)


def _by_holder(record: RequestRecord, event: Renewed | Progressed | Completed | Failed | Released) -> RequestRecord:
    if record.status is not Status.PROCESSING or record.fence != event.fence:
        raise LeaseLost(
            f"request {record.id!r} is {record.status} under claim {record.fence}; "
            f"a write under claim {event.fence} is refused"
        )
    change = msgspec.structs.replace
    if isinstance(event, Completed | Failed) and event.progress is not None:
        record = change(
            record,
            percentage=max(record.percentage, event.progress.percentage),
            message=event.progress.message,
            progress_metadata=event.progress.metadata,
        )
    match event:
        case Renewed():
            return change(record, due_at=event.lease_until, updated_at=event.at)
        case Progressed():
            return change(
                record,
                percentage=max(record.percentage, event.percentage),
                message=event.message,
                progress_metadata=event.metadata,
                seq=max(record.seq, event.seq),
                updated_at=event.at,
            )
        case Completed():
            return change(
                record,
                status=Status.COMPLETED,
                due_at=None,
                result=event.result,
                error=None,
                percentage=100.0,
                seq=event.seq,
                updated_at=event.at,
                finished_at=event.at,
            )
        case Failed(retry_at=None):
            return change(
                record,
                status=Status.FAILED,
                due_at=None,
                error=event.error,
                history=_remembered(record, event.at, Outcome.FAILED, event.error, event.cause),
                seq=event.seq,
                updated_at=event.at,
                finished_at=event.at,
            )
        case Failed():
            return change(
                record,
                status=Status.RETRYING,
                due_at=event.retry_at,
                error=event.error,
                history=_remembered(record, event.at, Outcome.FAILED, event.error, event.cause),
                seq=event.seq,
                worker="",
                updated_at=event.at,
            )
        case Released():
            return change(
                record,
                status=Status.PENDING,
                due_at=event.at,
                attempts=record.attempts - 1,
                history=_remembered(record, event.at, Outcome.RELEASED),
                worker="",
                updated_at=event.at,
            )


def _claim(record: RequestRecord, event: Claimed) -> RequestRecord:
    if not due(record, event.at):
        raise TransitionRefused(f"request {record.id!r} is {record.status} and not due")
    if exhausted(record):
        raise TransitionRefused(f"request {record.id!r} has used its {record.max_attempts} attempts")
    if expired(record, event.at):
        raise TransitionRefused(f"request {record.id!r} has expired while it waited")
    return msgspec.structs.replace(
        record,
        status=Status.PROCESSING,
        due_at=event.lease_until,
        attempts=record.attempts + 1,
        fence=record.fence + 1,
        worker=event.worker,
        percentage=0.0,
        message="",
        progress_metadata=b"",
        started_at=event.at,
        history=_with_broken_off(record, event.at, Outcome.LOST),
        updated_at=event.at,
    )


def _abandon(record: RequestRecord, event: Abandoned) -> RequestRecord:
    if not exhausted(record) or record.due_at is None or record.due_at > event.at:
        raise TransitionRefused(
            f"request {record.id!r} is {record.status} and has attempts left, or its lease is valid"
        )
    return _end(record, Status.FAILED, event.at, abandoned_error(record))


def _expire(record: RequestRecord, event: Expired) -> RequestRecord:
    if not expired(record, event.at):
        raise TransitionRefused(f"request {record.id!r} is {record.status} and has not expired")
    return _end(record, Status.FAILED, event.at, expired_error(record))


def _cancel(record: RequestRecord, event: Cancelled) -> RequestRecord:
    if record.terminal:
        raise TransitionRefused(f"request {record.id!r} is already {record.status}")
    return _end(record, Status.CANCELLED, event.at, ErrorBody(CANCELLED, event.message))


def _end(record: RequestRecord, status: Status, at: float, error: ErrorBody) -> RequestRecord:
    # Not written by the claim's worker, whose last seq is unknown here: continue after the claim's whole range.
    return msgspec.structs.replace(
        record,
        status=status,
        due_at=None,
        error=error,
        history=_with_broken_off(record, at, Outcome.CANCELLED if status is Status.CANCELLED else Outcome.LOST),
        seq=first_seq(record.fence + 1) + 1,
        updated_at=at,
        finished_at=at,
    )


def _with_broken_off(record: RequestRecord, at: float, outcome: Outcome) -> tuple[Attempt, ...]:
    """The history of a record whose claim ends, if it has one."""
    return _remembered(record, at, outcome) if record.status is Status.PROCESSING else record.history


def _remembered(
    record: RequestRecord, at: float, outcome: Outcome, error: ErrorBody | None = None, cause: Cause | None = None
) -> tuple[Attempt, ...]:
    attempt = Attempt(
        fence=record.fence,
        worker=record.worker,
        started_at=record.updated_at if record.started_at is None else record.started_at,
        ended_at=at,
        outcome=outcome,
        error=error,
        cause=cause,
    )
    return remembered(record.history, attempt)


def _requeue(record: RequestRecord, event: Requeued) -> RequestRecord:
    if record.status not in (Status.FAILED, Status.CANCELLED):
        raise TransitionRefused(
            f"request {record.id!r} is {record.status}; only FAILED and CANCELLED requests can run again"
        )
    return msgspec.structs.replace(
        record,
        status=Status.PENDING,
        due_at=event.at,
        attempts=0,
        # The terminal message's seq is after the last claim's range; the next claim must start after it too.
        fence=record.fence + 1,
        worker="",
        error=None,
        result=b"",
        finished_at=None,
        delivered_at=None,
        # An operator who runs it again wants it to run, whatever its age.
        expires_at=None,
        updated_at=event.at,
    )


def _deliver(record: RequestRecord, event: Delivered) -> RequestRecord:
    if not record.terminal:
        raise TransitionRefused(f"request {record.id!r} is {record.status}: it has no outcome to deliver yet")
    if record.delivered_at is not None:
        return record
    return msgspec.structs.replace(record, delivered_at=event.at)
