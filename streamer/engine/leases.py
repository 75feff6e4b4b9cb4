"""The leases of running attempts: renewed while they run, returned when they do not end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from streamer.contracts.stores import Key, Lease, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.attempt_states import StopReason

_RENEWALS: Final = 3
"""Renewals per lease: two may fail before it expires."""
_STALE: Final = 2 / 3
"""Fraction of a lease: when the last renewal is older, leases are renewed before anything is claimed."""


class LeaseHolder(Protocol):
    """The part of an attempt that concerns its lease."""

    @property
    def lease(self) -> Lease:
        """Its claim."""
        ...

    def stop(self, reason: StopReason, /) -> None:
        """Stops it before its handler has ended."""
        ...


class LeaseKeeper:
    """Renews and returns the leases of one worker.

    Args:
        queue: of the claims.
        running: the attempts whose leases are renewed.
        clock: the service's.
        logger: for errors.
        duration: seconds that a claim is valid without renewal.
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
        """Renews all leases now. Attempts whose lease was lost are stopped."""
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
        """Returns claims to the queue."""
        try:
            await self._queue.release(leases)
        except StoreError as problem:
            # They expire by themselves; another worker then claims the requests.
            names = [lease.id for lease in leases]
            self._logger.warning("claims were not returned", request_ids=names, error=str(problem))

    def keep_until_close(self, lease: Lease) -> None:
        """Keeps a claim whose function is still running: if it was returned now, the request would run twice at the
        same time.
        """
        self._kept.append(lease)

    async def close(self) -> None:
        """Returns the kept claims; their functions end with the process, which ends now."""
        kept, self._kept = self._kept, []
        if kept:
            await self.release(kept)
