"""The record of a queued request, and its states. `transitions` defines how it changes.

The attribute `due_at` says when a record can next be claimed: after the back-off for RETRYING, when the lease expires
for PROCESSING, never (None) for a terminal record. A PENDING record can always be claimed.
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
"""Range of message numbers per claim: the `seq` of claim n is in ((n - 1) · stride, n · stride). So it increases across
restarts without a durable write per message, and stays below 2**53 for two million claims.
"""


ADDRESS_SHARE: Final = "\x1f"
"""The prefix of an address' share, which no tenant has."""


class Status(enum.StrEnum):
    """The state of a request."""

    PENDING = "PENDING"
    """Stored and acknowledged; waits for a worker."""
    PROCESSING = "PROCESSING"
    """Claimed; a worker holds the lease, or died holding it."""
    RETRYING = "RETRYING"
    """An attempt failed; waits for the next one."""
    COMPLETED = "COMPLETED"
    """Ended with a result."""
    FAILED = "FAILED"
    """Ended with an error."""
    CANCELLED = "CANCELLED"
    """Cancelled by its owner or an operator."""


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
    """Maximum number of attempts; an attempt that a drain ended does not count."""
    priority: int = 0
    """Due records with a higher priority are claimed first."""
    principal: Principal | None = None
    """The principal; None without authentication."""
    address: str = ""
    """A keyed digest of the client's address block; empty with authentication."""
    expires_at: float | None = None
    """No attempt starts after this time; a request that still waits then becomes FAILED. None: no limit."""

    status: Status = Status.PENDING
    due_at: float | None
    """When the record can be claimed; None once terminal."""
    attempts: int = 0
    fence: int = 0
    """Incremented by each claim."""
    worker: str = ""
    percentage: float = 0.0
    message: str = ""
    progress_metadata: bytes = b""
    """JSON text of the newest progress metadata; empty without any."""
    seq: int = 0
    """The newest durably stored `seq`; the terminal message's own once terminal."""
    result: bytes = b""
    """JSON text of the terminal message's body (`success`, `result`, `metadata`, `error`); empty without one."""
    error: ErrorBody | None = None
    """The error of a FAILED or CANCELLED request; while RETRYING, the error of the last attempt."""
    updated_at: float
    started_at: float | None = None
    finished_at: float | None = None
    history: tuple[Attempt, ...] = ()
    """The attempts that did not complete it, oldest first, over all counts of attempts."""
    delivered_at: float | None = None
    """When the outcome was delivered to the owner; None before."""

    @property
    def key(self) -> tuple[str, str]:
        """Owner and id."""
        return (self.owner, self.id)

    @property
    def tenant(self) -> str:
        """The tenant for fair scheduling; empty without tenants."""
        return "" if self.principal is None else self.principal.tenant_id

    @property
    def share(self) -> str:
        """The group that shares the queue's capacity: the tenant; without authentication, the address."""
        return self.tenant or (f"{ADDRESS_SHARE}{self.address}" if self.address and self.principal is None else "")

    @property
    def terminal(self) -> bool:
        """Whether the request has ended."""
        return self.due_at is None


def first_seq(fence: int) -> int:
    """The number below the first `seq` that the claim with this fence may use."""
    return max(fence - 1, 0) * SEQ_STRIDE


def due(record: RequestRecord, now: float) -> bool:
    """Whether the record can start as soon as a worker is free."""
    # PENDING records ignore their time: setting the clock back must not delay what was just stored.
    return record.due_at is not None and (record.status is Status.PENDING or record.due_at <= now)


def exhausted(record: RequestRecord) -> bool:
    """Whether the record must be abandoned instead of claimed: its worker died in its last attempt."""
    return record.status is Status.PROCESSING and record.attempts >= record.max_attempts


def follows_loss(record: RequestRecord) -> bool:
    """Whether the newest attempt in the history was lost: its worker died, or could not reach the store for too
    long.
    """
    return bool(record.history) and record.history[-1].outcome is Outcome.LOST


def last_attempt(record: RequestRecord) -> bool:
    """Whether the record's next attempt is its last."""
    return record.attempts + 1 >= record.max_attempts


def expired(record: RequestRecord, now: float) -> bool:
    """Whether the record must expire instead of being claimed: it waited until `expires_at`."""
    if record.expires_at is None or record.expires_at > now or record.due_at is None:
        return False
    return record.status is not Status.PROCESSING or record.due_at <= now


def rebase_clock(record: RequestRecord, now: float) -> RequestRecord:
    """The record after the clock was set back to `now`, with its future times moved back.

    A record that waits for a time (its next attempt, the end of a lease, its expiry) keeps the remaining wait;
    otherwise setting the clock back by an hour would delay it by an hour.
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
    # After the clock was set back, the waiting time is unknown.
    long = f"longer than {format_duration(waited)}" if waited > 0 else "too long"
    return ErrorBody(
        TIMEOUT,
        f"The request waited {long} in the queue",
        retryable=True,
        details={"attempts": record.attempts},
    )


def abandoned_error(record: RequestRecord) -> ErrorBody:
    """The error of a request whose worker died in its last attempt."""
    return ErrorBody(
        INTERNAL_ERROR,
        "The worker died while it ran this request, and no attempts are left",
        retryable=False,
        details={"attempts": record.attempts},
    )
