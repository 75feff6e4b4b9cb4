"""A queued request as it is stored: its record and its states. What may change it is in `transitions`.

One attribute, `due_at`, says when a record may next be claimed: after the back-off for RETRYING, when the lease runs
out for PROCESSING, never (None) for a terminal one. A PENDING one may be claimed at once, whatever it says.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from streamer.core.attempts import Attempt, Outcome
from streamer.core.errors import INTERNAL_ERROR, TIMEOUT
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
