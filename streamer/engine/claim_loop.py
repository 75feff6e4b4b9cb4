"""Claims requests from the store when there may be some and a slot is free."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streamer.contracts.stores import Claims, Key, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.claim_signal import ClaimSignal
from streamer.engine.leases import LeaseKeeper
from streamer.engine.lost_requests import LostRequests
from streamer.engine.slots import Slots


class ClaimLoop:
    """Claims for one worker.

    Args:
        queue: of the requests.
        name: of the worker, stored in each claim.
        begin: starts the claimed requests, and returns how many.
        on_external_change: called with the requests that another process has changed; None: any of them.
        slots: how many more may run.
        signal: says when to claim.
        leases: the duration of a lease; renewed before a claim when they are stale.
        lost: how many requests may run whose worker died.
        clock: the service's.
        logger: for errors.
        poll_interval: seconds between polls of the queue when nothing wakes the worker.
    """

    def __init__(
        self,
        queue: RequestQueue,
        name: str,
        begin: Callable[[Claims], Awaitable[int]],
        on_external_change: Callable[[Sequence[Key] | None], None],
        *,
        slots: Slots,
        signal: ClaimSignal,
        leases: LeaseKeeper,
        lost: LostRequests,
        clock: Clock,
        logger: Any,
        poll_interval: float,
    ) -> None:
        self._queue = queue
        self._name = name
        self._begin = begin
        self._on_external_change = on_external_change
        self._slots = slots
        self._signal = signal
        self._leases = leases
        self._lost = lost
        self._clock = clock
        self._logger = logger
        self._poll_interval = poll_interval
        self._next_due: float | None = None
        self._more = False
        self._paused = False
        self._claiming = asyncio.Lock()
        self._ended: set[Key] = set()
        """Ended by their owners during a claim: if the claim returns them, they must not start."""
        self._claimed_at = -math.inf

    def pause(self) -> None:
        """Stops claiming."""
        self._paused = True
        self._signal.wake()

    def ended(self, key: Key) -> None:
        """The request has ended in the store: if a running claim returns it, it must not start."""
        if self._claiming.locked():
            self._ended.add(key)

    async def settle(self) -> None:
        """Returns when the running claim, if any, has started its requests."""
        async with self._claiming:
            pass

    async def run(self) -> None:
        """Claims until it is paused or cancelled."""
        failure = ""
        try:
            while not self._paused:
                if self._more or self._signal.wanted:
                    failure = await self._try_step(failure)
                if not self._more:
                    await self._signal.wait(self._longest_wait())
        finally:
            self._signal.close()

    async def step(self) -> int:
        """Claims as many requests as fit and starts them. Returns how many were started; they run in tasks.

        Raises:
            StoreError: the store did not respond; nothing was started.
        """
        async with self._claiming:
            self._ended.clear()
            return await self._step()

    async def _step(self) -> int:
        capacity = self._slots.free()
        now = self._clock.monotonic()
        if self._paused or (capacity <= 0 and now - self._claimed_at < self._poll_interval):
            self._more = self._signal.took_all = False
            return 0
        # A full worker still polls now and then, but only for changes by others.
        self._claimed_at = now
        if self._leases.stale():
            # Otherwise other workers would consider this one dead.
            await self._leases.renew()
        self._signal.sent()
        claims = await self._queue.claim(
            self._name,
            capacity,
            self._leases.duration,
            free_slots=self._slots.free_slots(),
            **self._slots.tenant_limits(),
            **self._lost.limits(),
        )
        self._next_due = claims.next_due
        self._more = len(claims.records) == capacity > 0
        self._signal.took_all = len(claims.records) < capacity
        if claims.changed_externally:
            self._on_external_change(claims.changed_keys)
        for record in claims.records:
            self._signal.brought(record.key)
        if self._ended:
            claims = claims._replace(records=[record for record in claims.records if record.key not in self._ended])
        started = await self._begin(claims)
        self._lost.claimed()
        return started

    async def _try_step(self, failure: str) -> str:
        """Returns why the queue could not be read; empty when it could."""
        try:
            await self.step()
        except StoreError as problem:
            if str(problem) != failure:
                # Logged once: the store reports its own state.
                self._logger.error("the queue cannot be read; trying again", error=str(problem))
            self._more = False
            self._next_due = None
            return str(problem)
        return ""

    def _longest_wait(self) -> float:
        """Seconds until the next record becomes due, at most the poll interval."""
        if self._next_due is None or not self._slots.free():
            return self._poll_interval
        return min(self._poll_interval, max(self._next_due - self._clock.now(), 0.001))
