"""Stores of queued requests.

`RequestStore` is the small part that the router needs. `RequestQueue` is a whole store; `streamer.testing` has the
conformance suite for every implementation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from streamer.core.attempts import Cause, LastReport
from streamer.core.messages import ErrorBody, Request
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import RequestSummary

Key = tuple[str, str]
"""Owner and id of a request."""


class Lease(NamedTuple):
    """One claim, as its worker refers to it."""

    owner: str
    id: str
    fence: int


class Claims(NamedTuple):
    """The result of a claim."""

    records: list[RequestRecord]
    """Now PROCESSING under this worker, each with a new fence."""
    abandoned: list[RequestRecord]
    """Now FAILED: their worker died in their last attempt, or they waited until `expires_at`. Their outcome must still
    be delivered.
    """
    next_due: float | None
    """When the next record becomes due, in wall-clock seconds; None when nothing waits."""
    changed_externally: bool = False
    """Another process (an operator's) has written since the last claim, so requests may have been cancelled or queued
    again outside of this service.
    """
    changed_keys: Sequence[Key] | None = None
    """With `changed_externally`: the keys of the requests; None when they are unknown, so that any may have changed."""


class Existing(NamedTuple):
    """What was already stored under the owner and id of a request."""

    request: RequestSummary
    same: bool
    """Whether it is the same request: the same action, and an equal JSON payload, ignoring the order of keys."""


class Page(NamedTuple):
    """One page of a listing."""

    requests: list[RequestSummary]
    """May be fewer than requested where they would take too much memory or time, or even none."""
    cursor: str | None
    """Pass it back for the next page; None only at the end."""


class RequestStore(Protocol):
    """What the router needs of a store."""

    def enqueue(self, request: Request, /) -> Awaitable[Existing | None]:
        """Stores the request durably before the returned awaitable is done: a coroutine, or a future where storing has
        started.

        Returns None when it is newly stored, otherwise what was already stored under its owner and id.

        Raises:
            Error: OVERLOADED when the queue is full.
            StoreError: it is not stored.
        """
        ...

    async def get(self, key: Key, /) -> RequestRecord | None:
        """The whole record, as of the last durable write."""
        ...


class RequestQueue(Protocol):
    """A durable store of requests. Every method can be called from many tasks at once.

    All transitions are those of `streamer.core.transitions.advance`. Each write is durable when its method returns, and
    can be repeated: a write that the same claim has already made succeeds again without effect.
    """

    def enqueue(self, record: RequestRecord, /) -> Awaitable[Existing | None]:
        """Stores a PENDING record. Usually an `async def`; a store may also return a future, which costs no task.
        Errors are raised when it is awaited.

        Returns None when newly stored, otherwise what was already stored under this key, which is not changed.

        Raises:
            Error: OVERLOADED, with `retry_after_ms`, when `max_queued` records are PENDING or RETRYING, or (where the
                store has such a limit) `max_queued_per_owner` of this owner.
        """
        ...

    async def claim(
        self,
        worker: str,
        limit: int,
        lease: float,
        *,
        free_slots: Mapping[str, int] | None = None,
        tenant_limit: int | None = None,
        tenants: Mapping[str, int] | None = None,
        lost_limit: int | None = None,
        lost_running: int = 0,
    ) -> Claims:
        """Claims up to `limit` due records: higher priority first, then fairly.

        Fair means round-robin: between the actions of one priority, within an action between its tenants, and within a
        tenant between its owners, so that an owner with ten thousand requests delays the request of another owner by no
        more than its share. The records of one owner (of one action and priority) are claimed in the order in which
        they were stored, including retries that are due.

        A PROCESSING record whose lease has expired is due, and comes before others of its priority, since it already
        had its turn. If it has no attempt left, it is abandoned instead. A record that waited until its `expires_at` is
        expired instead, whatever the limits are; of very many expired ones, some may be left for the next claim, but
        none of them starts.

        The clock may be set back. If by more than a second, a claim (or a write before it) first applies
        `streamer.core.records.rebase_clock` to each record; PENDING records stay due.

        Args:
            worker: name of the worker, stored in each record.
            limit: the maximum number of records; 0 only ends those that cannot run, and reports `next_due`.
            lease: seconds until the claim expires unless it is renewed.
            free_slots: for each action with a concurrency limit, how many more of its requests may be claimed now (0:
                none). Actions that are not named are limited only by `limit`. `next_due` ignores an action without free
                slots.
            tenant_limit: how many records of one tenant may run at this worker; None: no limit. Records without a
                tenant are not limited. `next_due` ignores the records of a tenant at this limit.
            tenants: how many records run now, for each tenant that has any.
            lost_limit: how many PROCESSING records with an expired lease may be claimed; None: no limit. One of them
                may have crashed its worker, so a worker runs only few of them at the same time. With a limit, those
                with several attempts left come first, and one whose next attempt is its last is claimed only alone: not
                when others of this claim, or `lost_running`, would run at the same time. `next_due` ignores those that
                are due and may not be claimed.
            lost_running: how many such records run at this worker now.
        """
        ...

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        """Extends the claims by `lease` seconds from now. Returns those that were lost (claimed by another worker, or
        ended).
        """
        ...

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        """Stores the progress of the claim's handler.

        Raises:
            LeaseLost: the claim is no longer the newest.
        """
        ...

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        """Ends the request with a result (JSON text).

        `progress` is the last report: its message and metadata are stored with the outcome, in the same write.

        Raises:
            Error: the store cannot store such a result, now or later (it is too large); the claim is still valid.
            LeaseLost: the claim is no longer the newest, or the request has already ended otherwise.
        """
        ...

    async def fail(
        self,
        claim: Lease,
        /,
        *,
        seq: int,
        error: ErrorBody,
        retry_at: float | None = None,
        cause: Cause | None = None,
        progress: LastReport | None = None,
    ) -> None:
        """Ends the attempt with an error: RETRYING until `retry_at`, or FAILED without it.

        `cause` is stored with the attempt in the record's history, for operators; `progress` as for `complete`, with
        its percentage.

        Raises:
            LeaseLost: as for `complete`.
        """
        ...

    async def release(self, leases: Sequence[Lease], /) -> None:
        """Returns claimed requests to the queue unchanged; their attempt does not count. Lost claims are ignored."""
        ...

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        """Ends a queued or running request as CANCELLED. The worker of a running one notices at its next write or
        renewal.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it has already ended.
        """
        ...

    async def requeue(self, key: Key, /) -> RequestRecord:
        """Runs a FAILED or CANCELLED request again, with a new count of attempts.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it is in another state.
        """
        ...

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        """Records that the outcomes of these requests were delivered to their owners. Unknown and unfinished requests
        are ignored.
        """
        ...

    async def undelivered(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        """The keys of the owner's requests that have not ended, or whose outcome was not delivered; oldest first.

        A request that is being deleted at this moment may be included.
        """
        ...

    async def get(self, key: Key, /) -> RequestRecord | None:
        """The whole record, as of the last durable write.

        It may be large. A store that reads it from a database limits the total bytes that are being read at one time,
        so this may wait for other reads. Callers should not keep many records.
        """
        ...

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the field's own name
        """The requests with this id of all owners: for operators, never for clients."""
        ...

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Requests, newest first by `created_at`. A cursor stays valid while records are added and deleted.

        Does not read payloads and results.

        Raises:
            Error: VALIDATION_ERROR for a cursor that this store did not return.
        """
        ...

    async def counts(self) -> dict[Status, int]:
        """How many records are in each state; includes every state."""
        ...

    async def purge(self, finished_before: float, /) -> int:
        """Deletes terminal records that ended before that time. Returns how many."""
        ...

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        """Stores a small value for the store as a whole, as durably as the records.

        Returns the value that is now stored under the name: the previous one, unless `replace` is set. When several
        processes store a value under a new name at the same time, all get the same value.
        """
        ...

    async def failed(self) -> None:
        """Returns only when the store has failed permanently, so that the service must be started again."""
        ...

    async def close(self) -> None:
        """Finishes the current writes and closes the store. Later calls raise StoreUnavailable."""
        ...


class WatchedQueue(RequestQueue, Protocol):
    """A queue of several processes that reports what one of them stores to the workers of the others."""

    async def watch(self, wake: Callable[[], None], /) -> None:
        """Calls `wake` soon after another process stored a request, or gave one back, until it is cancelled.

        Calls may be lost, come late, or for nothing: workers look for themselves as well, every `poll_interval`.

        Raises:
            StoreError: the watch has failed; it can be begun again.
        """
        ...


class Waiting(NamedTuple):
    """What a worker is woken for."""

    key: Key
    action: str


class WokenQueue(RequestQueue, Protocol):
    """A queue whose workers do not poll: they are woken for each request, by its key.

    Wake-ups can be lost, late or duplicated. `due` and `ended_undelivered` find the requests whose wake-up was lost.
    """

    async def claim_one(self, key: Key, worker: str, lease: float, /, *, lost: bool = True) -> Claims:
        """Claims this request if it is due. The caller that claims it finds it in `records`; everybody else gets
        nothing.

        A request without attempts left, or that waited until its `expires_at`, is ended instead, as by `claim`.

        Args:
            key: the request.
            worker: as for `claim`.
            lease: as for `claim`.
            lost: whether a request with an expired lease may be claimed. If not, it is not changed, and `next_due` says
                that it is due: it must run without others at the same time.
        """
        ...

    async def due(self, stored_before: float, /, limit: int = 500, *, without: Collection[str] = ()) -> list[Waiting]:
        """Requests that should have been claimed by now, the oldest lease first.

        These are requests PENDING since before `stored_before`, RETRYING ones due since then, and those whose lease has
        expired. The answer may be slightly out of date. Actions in `without` are left out.
        """
        ...

    async def mark_sent(self, keys: Sequence[Key], /) -> None:
        """Records that these outcomes were passed to connections, so that `ended_undelivered` no longer includes them.

        They stay `undelivered` until `mark_delivered`, since no client has confirmed them.
        """
        ...

    async def count_queued(self) -> int:
        """Counts PENDING and RETRYING records, for all processes that must know whether the queue is full.

        The processes use the newest count, and count themselves only when there is none.
        """
        ...

    async def ended_undelivered(self, ended_after: float, ended_before: float, /, limit: int = 500) -> list[Key]:
        """Requests that ended in that time and whose outcome was not delivered. The answer may be slightly out of
        date.
        """
        ...
