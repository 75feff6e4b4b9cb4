"""The leases of the attempts that run here: renewed while they run, given back when they do not end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from streamer.contracts.stores import Key, Lease, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.attempt_states import StopReason

_RENEWALS: Final = 3
"""In the time of one lease: two may fail before it runs out."""
_STALE: Final = 2 / 3
"""Of a lease: when the last renewal is older, leases are renewed before anything is claimed."""


class LeaseHolder(Protocol):
    """An attempt, as far as its lease is concerned."""

    @property
    def lease(self) -> Lease:
        """Its claim."""
        ...

    def stop(self, reason: StopReason, /) -> None:
        """Ends it before its handler has ended."""
        ...


class LeaseKeeper:
    """Renews the leases of one worker, and gives them back.

    Args:
        queue: where the claims are.
        running: the attempts whose leases are renewed.
        clock: the service's.
        logger: for what goes wrong.
        duration: seconds that a claim lives without renewal.
    """

    def __init__(
        self, queue: RequestQueue, running: Mapping[Key, LeaseHolder], *, clock: Clock, logger: Any, duration: float
    ) -> None:
        self._queue = queue
        self._running = running
        self._clock = clock
        self._logger = logger
        self.duration = duration
        self._renewed_at = clock.now()
        self._kept: list[Lease] = []

    async def run(self) -> None:
        """Renews until it is cancelled."""
        while True:
            await self._clock.sleep(self.duration / _RENEWALS)
            await self.renew()

    def stale(self) -> bool:
        """Whether a renewal is overdue: the loop was blocked, or the clock was set forward."""
        return self._clock.now() - self._renewed_at >= self.duration * _STALE

    async def renew(self) -> None:
        """Renews all leases at once. Attempts whose lease was lost are stopped."""
        leases = [attempt.lease for attempt in self._running.values()]
        now = self._clock.now()
        if not leases:
            self._renewed_at = now
            return
        try:
            lost = await self._queue.renew(leases, self.duration)
        except StoreError as problem:
            self._logger.error("leases could not be renewed; trying again", error=str(problem))
            return
        self._renewed_at = now
        for lease in lost:
            attempt = self._running.get((lease.owner, lease.id))
            if attempt is not None and attempt.lease == lease:
                attempt.stop(StopReason.LOST)

    async def release(self, leases: list[Lease]) -> None:
        """Gives claims back to the queue."""
        try:
            await self._queue.release(leases)
        except StoreError as problem:
            # They run out by themselves; another worker takes them then.
            names = [lease.id for lease in leases]
            self._logger.warning("claims were not given back", request_ids=names, error=str(problem))

    def keep_until_close(self, lease: Lease) -> None:
        """Keeps a claim of which a function still runs: given back now, the request would run twice at one time."""
        self._kept.append(lease)

    async def close(self) -> None:
        """Gives back the claims that were kept; their functions end with the process, which ends now."""
        kept, self._kept = self._kept, []
        if kept:
            await self.release(kept)
