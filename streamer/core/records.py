"""The life of a queued request: its record, its states, and `advance`, the only place that knows the transitions.

::

    PENDING → PROCESSING → COMPLETED | FAILED | CANCELLED
                 ↓  ↑
              RETRYING (due at)

One attribute, `due_at`, says when a record may next be claimed: after the back-off for RETRYING, when the lease runs
out for PROCESSING, never (None) for a terminal one. A PENDING one may be claimed at once, whatever it says.
Each claim raises `fence`; whoever writes must show the fence of its claim, so a worker that was taken over can no
longer write.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from streamer.core.attempts import Attempt, Cause, LastReport, Outcome, remembered
from streamer.core.errors import CANCELLED, INTERNAL_ERROR, TIMEOUT, LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.units import format_duration

SEQ_STRIDE: Final = 1 << 32
"""Room for the messages of one claim: `seq` of claim n lies in ((n - 1) · stride, n · stride), so it rises over
restarts without a durable write per message, and stays below 2**53 for two million claims."""


ADDRESS_SHARE: Final = "\x1f"
"""What the name of an address' share begins with, and no tenant's."""


class Status(enum.StrEnum):
    """Where a request is."""

    PENDING = "PENDING"
    """Stored and acknowledged; waits for a worker."""
    PROCESSING = "PROCESSING"
    """Claimed; a worker holds the lease, or died holding it."""
    RETRYING = "RETRYING"
    """An attempt failed; waits for its next one."""
    COMPLETED = "COMPLETED"
    """Ended with a result."""
    FAILED = "FAILED"
    """Ended with an error."""
    CANCELLED = "CANCELLED"
    """Ended because its owner or an operator said so."""


TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
QUEUED: Final = frozenset({Status.PENDING, Status.RETRYING})


class RequestRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A queued request as every store keeps it. `(owner, id)` is its key. Times are seconds since 1970 UTC."""

    owner: str
    id: str
    action: str
    payload: bytes = b"null"
    """JSON text, as the client sent it."""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    connection_id: str = ""
    created_at: float
    max_attempts: int = 3
    """How many attempts may begin; one that ended by a drain does not count."""
    priority: int = 0
    """Among those that are due, higher goes first."""
    principal: Principal | None = None
    """Who asked; None without authentication."""
    address: str = ""
    """A keyed digest of the block of addresses that it came from; empty with authentication."""
    expires_at: float | None = None
    """No attempt begins from then on: what still waits has FAILED. None: it waits for as long as it takes."""

    status: Status = Status.PENDING
    due_at: float | None
    """When it may be claimed; None once terminal."""
    attempts: int = 0
    fence: int = 0
    """Raised by each claim."""
    worker: str = ""
    percentage: float = 0.0
    message: str = ""
    progress_metadata: bytes = b""
    """JSON text of the newest progress metadata; empty for none."""
    seq: int = 0
    """The newest `seq` that is known durably; the terminal message's own once terminal."""
    result: bytes = b""
    """JSON text of the terminal message's body (`success`, `result`, `metadata`, `error`); empty for none."""
    error: ErrorBody | None = None
    """Why it FAILED or was CANCELLED; while RETRYING, why the last attempt failed."""
    updated_at: float
    started_at: float | None = None
    finished_at: float | None = None
    history: tuple[Attempt, ...] = ()
    """The attempts that did not complete it, oldest first, over all counts of attempts."""
    delivered_at: float | None = None
    """When its owner had been told how it ended; None while that is still to be done."""

    @property
    def key(self) -> tuple[str, str]:
        """Owner and id."""
        return (self.owner, self.id)

    @property
    def tenant(self) -> str:
        """Whose share of the service it takes; empty without tenants."""
        return "" if self.principal is None else self.principal.tenant_id

    @property
    def share(self) -> str:
        """Whose share of the queue it takes: its tenant's; without authentication that of its address."""
        return self.tenant or (f"{ADDRESS_SHARE}{self.address}" if self.address and self.principal is None else "")

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self.due_at is None


def first_seq(fence: int) -> int:
    """The number below the first `seq` that the claim with this fence may use."""
    return max(fence - 1, 0) * SEQ_STRIDE


class Claimed(msgspec.Struct, frozen=True):
    """A worker takes the request. Allowed once it is due; a lease that ran out makes it due."""

    at: float
    worker: str
    lease_until: float


class Renewed(msgspec.Struct, frozen=True):
    """The worker that holds the claim is alive."""

    at: float
    fence: int
    lease_until: float


class Progressed(msgspec.Struct, frozen=True):
    """How far the claim's handler is."""

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
    """The claim's handler ended with an error. With `retry_at` it is attempted again then; without, it has FAILED."""

    at: float
    fence: int
    seq: int
    error: ErrorBody
    retry_at: float | None = None
    cause: Cause | None = None
    progress: LastReport | None = None


class Released(msgspec.Struct, frozen=True):
    """The worker gives the claim back unharmed (a drain); the attempt does not count."""

    at: float
    fence: int


class Abandoned(msgspec.Struct, frozen=True):
    """The claim's worker died and the request has no attempt left."""

    at: float


class Expired(msgspec.Struct, frozen=True):
    """The request waited for an attempt until `expires_at`."""

    at: float


class Cancelled(msgspec.Struct, frozen=True):
    """The owner or an operator ends it, queued or running."""

    at: float
    message: str = "The request was cancelled"


class Requeued(msgspec.Struct, frozen=True):
    """An operator runs a FAILED or CANCELLED request again, with a new count of attempts."""

    at: float


class Delivered(msgspec.Struct, frozen=True):
    """The owner has been told how the request ended."""

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


def due(record: RequestRecord, now: float) -> bool:
    """Whether the record waits for nothing but a worker."""
    # Not by its time when it is PENDING: a clock that is put back must not make what was just stored wait for it.
    return record.due_at is not None and (record.status is Status.PENDING or record.due_at <= now)


def exhausted(record: RequestRecord) -> bool:
    """Whether the record must be abandoned instead of claimed: its worker died in its last attempt."""
    return record.status is Status.PROCESSING and record.attempts >= record.max_attempts


def follows_loss(record: RequestRecord) -> bool:
    """Whether the newest attempt that the record remembers was lost: its worker died, or was cut off for too long."""
    return bool(record.history) and record.history[-1].outcome is Outcome.LOST


def last_attempt(record: RequestRecord) -> bool:
    """Whether the record's next attempt is its last."""
    return record.attempts + 1 >= record.max_attempts


def expired(record: RequestRecord, now: float) -> bool:
    """Whether the record must end instead of being claimed: it waited until `expires_at`."""
    if record.expires_at is None or record.expires_at > now or record.due_at is None:
        return False
    return record.status is not Status.PROCESSING or record.due_at <= now


def rebase_clock(record: RequestRecord, now: float) -> RequestRecord:
    """The record after the clock was put back to `now`: what was written in the time that is yet to come again.

    A record that waits for a time (for its next attempt, the end of a lease, its expiry) waits for as long from now
    as it was to wait from then; else a clock put back by an hour would hold it up by an hour.
    """
    if record.due_at is None or record.updated_at <= now:
        return record
    if record.status is Status.PENDING and record.expires_at is None:
        return record
    ahead = record.updated_at - now
    return msgspec.structs.replace(
        record,
        due_at=record.due_at - ahead,
        expires_at=None if record.expires_at is None else record.expires_at - ahead,
        updated_at=now,
    )


def expired_error(record: RequestRecord) -> ErrorBody:
    """The error of a request that waited too long."""
    waited = 0.0 if record.expires_at is None else round(record.expires_at - record.created_at, 3)
    # A clock that was put back leaves no telling how long it was.
    long = f"longer than {format_duration(waited)}" if waited > 0 else "too long"
    return ErrorBody(
        TIMEOUT,
        f"The request waited {long} in the queue",
        retryable=True,
        details={"attempts": record.attempts},
    )


def abandoned_error(record: RequestRecord) -> ErrorBody:
    """The error of a request whose worker died under it until no attempt was left."""
    return ErrorBody(
        INTERNAL_ERROR,
        "The worker died while it ran this request, and no attempt is left",
        retryable=False,
        details={"attempts": record.attempts},
    )


def advance(record: RequestRecord, event: Event) -> RequestRecord:
    """The record after the event.

    Raises:
        LeaseLost: the event carries a fence that is not the record's newest, or the record is not PROCESSING.
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
        raise TransitionRefused(f"request {record.id!r} has waited too long to begin")
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
        raise TransitionRefused(f"request {record.id!r} is {record.status} with attempts or lease left")
    return _end(record, Status.FAILED, event.at, abandoned_error(record))


def _expire(record: RequestRecord, event: Expired) -> RequestRecord:
    if not expired(record, event.at):
        raise TransitionRefused(f"request {record.id!r} is {record.status} and has time left")
    return _end(record, Status.FAILED, event.at, expired_error(record))


def _cancel(record: RequestRecord, event: Cancelled) -> RequestRecord:
    if record.terminal:
        raise TransitionRefused(f"request {record.id!r} is already {record.status}")
    return _end(record, Status.CANCELLED, event.at, ErrorBody(CANCELLED, event.message))


def _end(record: RequestRecord, status: Status, at: float, error: ErrorBody) -> RequestRecord:
    # Not written by the claim's holder, whose last seq is unknown here: the claim's own range is left behind whole.
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
    """The history of a record that is taken from its claim, if one still stands on it."""
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
        raise TransitionRefused(f"request {record.id!r} is {record.status}; only FAILED and CANCELLED can run again")
    return msgspec.structs.replace(
        record,
        status=Status.PENDING,
        due_at=event.at,
        attempts=0,
        # The terminal message lies beyond the last claim's range; the next claim must begin beyond it too.
        fence=record.fence + 1,
        worker="",
        error=None,
        result=b"",
        finished_at=None,
        delivered_at=None,
        # Whoever runs it again wants it run, however long ago it was asked for.
        expires_at=None,
        updated_at=event.at,
    )


def _deliver(record: RequestRecord, event: Delivered) -> RequestRecord:
    if not record.terminal:
        raise TransitionRefused(f"request {record.id!r} is {record.status}: there is no outcome to deliver yet")
    if record.delivered_at is not None:
        return record
    return msgspec.structs.replace(record, delivered_at=event.at)
