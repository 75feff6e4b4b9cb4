"""Where queued requests live.

`RequestStore` is the little that the router needs. `RequestQueue` is a whole store; `streamer.testing` holds the
suite that every implementation must pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from streamer.core.attempts import Cause, LastReport
from streamer.core.messages import ErrorBody, Request
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import RequestSummary

Key = tuple[str, str]
"""Owner and id of a request."""


class Lease(NamedTuple):
    """One claim, as its worker names it."""

    owner: str
    id: str
    fence: int


class Claims(NamedTuple):
    """What a claim brought."""

    records: list[RequestRecord]
    """Now PROCESSING under this worker, each with a new fence."""
    abandoned: list[RequestRecord]
    """Now FAILED: their worker had died in their last attempt, or they waited until `expires_at`. Their owners are
    still to be told."""
    next_due: float | None
    """When the next record becomes due, as wall-clock seconds; None when nothing waits."""
    changed_externally: bool = False
    """Something outside of this service (an operator) has written since the last claim: requests may have been
    cancelled or queued again without its doing."""
    changed_keys: Sequence[Key] | None = None
    """With `changed_externally`: to which requests; None when that is not known, so that any may be among them."""


class Existing(NamedTuple):
    """What was already stored under the owner and id of a request that is stored again."""

    request: RequestSummary
    same: bool
    """Whether it is the same request: the same action, and the same payload as JSON in any order of keys."""


class Page(NamedTuple):
    """One page of a listing."""

    requests: list[RequestSummary]
    """Fewer than were asked for where they would take too much memory or time; perhaps none at all."""
    cursor: str | None
    """Pass it back for the next page; None at the end, and only there."""


class RequestStore(Protocol):
    """What the router needs of a store."""

    def enqueue(self, request: Request, /) -> Awaitable[Existing | None]:
        """Stores the request durably before what it returns is done: a coroutine, or a future where storing has begun.

        Gives None when it is newly stored, or what was already stored under its owner and id.

        Raises:
            Error: OVERLOADED when the queue is full.
            StoreError: it could not be stored; then it is not stored.
        """
        ...

    async def get(self, key: Key, /) -> RequestRecord | None:
        """The whole record, as of the last durable write."""
        ...


class RequestQueue(Protocol):
    """A durable store of requests. Every method is safe to call from many tasks at once.

    All transitions are those of `streamer.core.transitions.advance`. Each write is durable when its method returns, and
    each is safe to repeat: a write that was already made by the same claim succeeds again without effect.
    """

    def enqueue(self, record: RequestRecord, /) -> Awaitable[Existing | None]:
        """Stores a PENDING record. Usually an `async def`; a store may also return a future, which costs no task. What
        goes wrong is raised where it is awaited.

        Gives None when newly stored, else what was already stored under this key, which stays as it is.

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
        """Takes up to `limit` records that are due: higher priority first, then fairly.

        Fairly means: actions of one priority take turns, within each its tenants do, and within a tenant its owners,
        so that one who queued ten thousand does not hold up another's one beyond its share. The records of one owner
        (of one action and priority) go in the order in which they were stored, retries that are due among them.

        A PROCESSING record whose lease ran out is due, before others of its priority: it has had its turn. One that
        has no attempt left is abandoned instead. A record that waited until its `expires_at` is expired instead,
        whatever the limits say; where very many have, some may be left to the next claim, and none begins.

        The clock may be put back. When it is by more than a second, a claim (or a write before it) first does what
        `streamer.core.records.rebase_clock` says to each record, and what is PENDING is due all the same.

        Args:
            worker: name of the worker, written into each record.
            limit: at most so many records; 0 only ends what cannot run and reports `next_due`.
            lease: seconds until the claim runs out unless renewed.
            free_slots: for each action with a limit of its own, how many more of it may be claimed now (0: none).
                Actions that are not named are limited by `limit` alone. `next_due` leaves out an action that has
                none left.
            tenant_limit: how many records of one tenant may run at this worker; None: as many as there are. Records
                without a tenant are not limited. `next_due` leaves out what is due of a tenant at this limit.
            tenants: how many run now, of each tenant that has any.
            lost_limit: how many PROCESSING records whose lease ran out may be claimed; None: as many as there are.
                One of them may be what killed its worker, so a worker runs few of them together. With a limit, those
                that have attempts to spare go first, and one whose next attempt is its last is claimed only as the
                only one: not when others of this claim, or `lost_running`, would run next to it. `next_due` leaves
                out those that are due and may not be claimed.
            lost_running: how many such records run at this worker now.
        """
        ...

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        """Extends the claims by `lease` seconds from now. Returns those that were lost (taken over, or ended)."""
        ...

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        """Writes down how far the claim's handler is.

        Raises:
            LeaseLost: the claim is no longer the newest.
        """
        ...

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        """Ends the request with a result (JSON text).

        `progress` is what was reported last: its message and metadata are kept with the outcome, in the same write.

        Raises:
            Error: the store cannot keep such a result, now or later (it is too large); the claim still holds.
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

        `cause` is kept with the attempt in the record's history, for operators; `progress` as for `complete`, with its
        percentage.

        Raises:
            LeaseLost: as for `complete`.
        """
        ...

    async def release(self, leases: Sequence[Lease], /) -> None:
        """Gives claims back to the queue unharmed; their attempt does not count. Lost ones are passed over."""
        ...

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        """Ends a request that has not ended, queued or running, as CANCELLED. A running one's worker learns it by
        its next write or renewal.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it has already ended.
        """
        ...

    async def requeue(self, key: Key, /) -> RequestRecord:
        """Runs a FAILED or CANCELLED request again, under a new count of attempts.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it is in another state.
        """
        ...

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        """Notes that the owners were told how these requests ended. Unknown and unfinished ones are passed over."""
        ...

    async def undelivered(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        """The keys of the owner's requests that have not ended, or whose outcome was not delivered; oldest first.

        One whose record is deleted at this moment may be among them.
        """
        ...

    async def get(self, key: Key, /) -> RequestRecord | None:
        """The whole record, as of the last durable write.

        It may be large. A store that reads it from elsewhere bounds the bytes of all that is being read at one time,
        so this may wait for others; nobody should hold many records.
        """
        ...

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the field's own name
        """Every owner's request with this id: for operators, never for clients."""
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
        """Requests, newest first by `created_at`. A cursor stays valid while records come and go.

        No payload and no result is read for it.

        Raises:
            Error: VALIDATION_ERROR for a cursor that this store did not give.
        """
        ...

    async def counts(self) -> dict[Status, int]:
        """How many records are in each state; every state is named."""
        ...

    async def purge(self, finished_before: float, /) -> int:
        """Deletes terminal records that ended before that time. Returns how many."""
        ...

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        """Keeps a small value that belongs to the store as a whole, as durably as the records.

        Returns what is kept under the name now: what was kept before, unless it is to be replaced. Where many
        processes keep a value under a new name at the same time, all get the same one.
        """
        ...

    async def failed(self) -> None:
        """Returns only when the store has failed for good and nothing but a new start can help."""
        ...

    async def close(self) -> None:
        """Finishes the writes under way and gives up the store. Calls after it raise StoreUnavailable."""
        ...


class Waiting(NamedTuple):
    """What a worker is to be woken for."""

    key: Key
    action: str


class WokenQueue(RequestQueue, Protocol):
    """A queue whose workers do not look for work: something wakes them for each request, by its key.

    Wake-ups are lost, come twice and come late. `due` and `ended_undelivered` find what they left behind.
    """

    async def take(self, key: Key, worker: str, lease: float, /, *, lost: bool = True) -> Claims:
        """Claims this one request if it is due; the one who took it finds it in `records`, everybody else nothing.

        What has no attempt left, or waited until its `expires_at`, is ended instead, as by `claim`.

        Args:
            key: which request.
            worker: as for `claim`.
            lease: as for `claim`.
            lost: whether a request whose worker's lease ran out may be claimed. Where not, it is left as it is, and
                `next_due` says that it is due: it is to run without any other.
        """
        ...

    async def due(self, stored_before: float, /, limit: int = 500, *, without: Collection[str] = ()) -> list[Waiting]:
        """Requests that should have been taken by now, the oldest lease first.

        Those that are PENDING since before `stored_before`, or RETRYING and due since then; and those whose worker
        has let its lease run out. They were so a moment ago. Actions that are named in `without` are left out.
        """
        ...

    async def mark_sent(self, keys: Sequence[Key], /) -> None:
        """Notes that these outcomes were handed to connections: `ended_undelivered` no longer names them.

        Until `mark_delivered` they are `undelivered` all the same: nobody has shown that they arrived.
        """
        ...

    async def count_queued(self) -> int:
        """Counts what is PENDING or RETRYING, for all processes that must know whether the queue is full.

        They take what this counted last, and count only when nobody does.
        """
        ...

    async def ended_undelivered(self, ended_after: float, ended_before: float, /, limit: int = 500) -> list[Key]:
        """Requests that ended in that time, and whose owners were not told. They were so a moment ago."""
        ...
