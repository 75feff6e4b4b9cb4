"""A store whose calls are timed, and whose requests are counted by action and outcome."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from streamer.admin.counters import SHORT, Counts, Histogram
from streamer.contracts.stores import Claims, Existing, Key, Lease
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock
from streamer.core.errors import TIMEOUT, LeaseLost
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord

_TIMED: Final = frozenset(
    {"counts", "find", "get", "keep", "list", "mark_delivered", "purge", "requeue", "undelivered", "update_progress"}
)
"""Methods that are timed and not counted otherwise."""
_MOST_HELD: Final = 100_000
"""Claims that are held. There are as many as requests run here; the bound is for what a failing store leaves behind."""


class ObservedQueue:
    """Passes every call on to a store and counts it. It fulfils `RequestQueue`.

    Args:
        store: of the service.
        counts: where it is counted.
        clock: the service's.
        on_claim: called when the store has answered a claim.
    """

    def __init__(self, store: Any, counts: Counts, clock: Clock, on_claim: Callable[[], None]) -> None:
        self._store = store
        self._counts = counts
        self._clock = clock
        self._on_claim = on_claim
        self._claimed: dict[Lease, tuple[str, float, float]] = {}
        """Of each claim that runs here: its action, its time (monotonic), the time of its acceptance (wall clock)."""

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._store, attribute)
        if attribute in _TIMED:
            value = self._timed_method(attribute, value)
            # The next call finds it without coming here.
            setattr(self, attribute, value)
        return value

    def enqueue(self, record: RequestRecord, /) -> Awaitable[Existing | None]:
        began = self._clock.monotonic()
        storing = self._store.enqueue(record)
        if not isinstance(storing, asyncio.Future):
            return self._enqueue(storing, record.action, began)
        storing.add_done_callback(functools.partial(self._stored, record.action, began))
        return storing

    async def claim(self, worker: str, limit: int, lease: float, **limits: Any) -> Claims:
        claims: Claims = await self._timed("claim", self._store.claim(worker, limit, lease, **limits))
        self._on_claim()
        if claims.records:
            now, moment = self._clock.now(), self._clock.monotonic()
            for record in claims.records:
                if record.fence == 1:
                    self._counts.of(record.action).wait_time.add(now - record.created_at)
                self._hold(Lease(record.owner, record.id, record.fence), (record.action, moment, record.created_at))
        for record in claims.abandoned:
            expired = record.error is not None and record.error.code == TIMEOUT
            self._counts.of(record.action).queued["expired" if expired else "abandoned"] += 1
        return claims

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        lost: list[Lease] = await self._timed("renew", self._store.renew(leases, lease))
        for one in lost:
            self._ended(one, "lost")
        return lost

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        await self._by_holder(claim, "complete", self._store.complete(claim, seq=seq, result=result, progress=progress))
        held = self._ended(claim, "completed")
        if held is not None:
            action, _, created_at = held
            counted = self._counts.of(action)
            counted.queued["completed"] += 1
            counted.queued_time.add(self._clock.now() - created_at)

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
        await self._by_holder(
            claim,
            "fail",
            self._store.fail(claim, seq=seq, error=error, retry_at=retry_at, cause=cause, progress=progress),
        )
        held = self._ended(claim, "failed" if retry_at is None else "retried")
        if held is not None:
            self._counts.failed(held[0], error.code)
            if retry_at is None:
                self._counts.of(held[0]).queued["failed"] += 1

    async def release(self, leases: Sequence[Lease], /) -> None:
        await self._timed("release", self._store.release(leases))
        for one in leases:
            self._ended(one, "released")

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        record: RequestRecord = await self._timed("cancel", self._store.cancel(key, message))
        self._counts.of(record.action).queued["cancelled"] += 1
        self._ended(Lease(record.owner, record.id, record.fence), "cancelled")
        return record

    def _stored(self, action: str, began: float, storing: asyncio.Future[Existing | None]) -> None:
        if storing.cancelled() or storing.exception() is not None:
            self._counts.store_errors["enqueue"] += 1
        elif storing.result() is None:
            self._counts.of(action).stored += 1
        self._histogram("enqueue").add(self._clock.monotonic() - began)

    async def _enqueue(self, storing: Awaitable[Existing | None], action: str, began: float) -> Existing | None:
        try:
            existing = await storing
        except BaseException:
            self._counts.store_errors["enqueue"] += 1
            raise
        finally:
            self._histogram("enqueue").add(self._clock.monotonic() - began)
        if existing is None:
            self._counts.of(action).stored += 1
        return existing

    def _hold(self, lease: Lease, claimed: tuple[str, float, float]) -> None:
        if len(self._claimed) >= _MOST_HELD:
            del self._claimed[next(iter(self._claimed))]
        self._claimed[lease] = claimed

    def _ended(self, lease: Lease, outcome: str) -> tuple[str, float, float] | None:
        held = self._claimed.pop(lease, None)
        if held is not None:
            counted = self._counts.of(held[0])
            counted.attempts[outcome] += 1
            counted.attempt_time.add(self._clock.monotonic() - held[1])
        return held

    async def _by_holder(self, claim: Lease, operation: str, call: Awaitable[None]) -> None:
        try:
            await self._timed(operation, call)
        except LeaseLost:
            self._ended(claim, "lost")
            raise

    def _histogram(self, operation: str) -> Histogram:
        found = self._counts.store_calls.get(operation)
        if found is None:
            found = self._counts.store_calls[operation] = Histogram(SHORT)
        return found

    async def _timed(self, operation: str, call: Awaitable[Any]) -> Any:
        began = self._clock.monotonic()
        try:
            return await call
        except BaseException:
            self._counts.store_errors[operation] += 1
            raise
        finally:
            self._histogram(operation).add(self._clock.monotonic() - began)

    def _timed_method(
        self, operation: str, method: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._timed(operation, method(*arguments, **options))

        return call
