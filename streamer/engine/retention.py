"""Deletes results older than `worker.result_ttl`, by the time that has passed, whatever the wall clock was set to."""

from __future__ import annotations

import contextlib
from typing import Any, Final, Self

import msgspec

from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

INTERVAL: Final = 60.0
"""Seconds between two looks for results that are too old."""
AGES_KEY: Final = "ages"
"""Under which a store keeps it."""
PERIODS: Final = 100
"""In how many parts the time is kept for which results live: they live up to one part longer."""


class _Period(msgspec.Struct, array_like=True):
    """A part of the time in which the service ran."""

    began: float
    """Seconds of running time."""
    lowest: float
    """The earliest that the wall clock showed in it."""


class _Kept(msgspec.Struct):
    elapsed: float
    wall: float
    monotonic: float
    periods: list[_Period]


class Ages:
    """Knows before which wall-clock time everything is as old as it says.

    A clock that jumps forward makes everything look old, and a wrong one at boot does so as well. So the time that has
    passed is measured by the monotonic clock, is added up over restarts, and is held against what the wall clock showed
    then. Time in which the machine was off or asleep does not count: what was stored before lives longer by it.

    Args:
        lifetime: seconds for which results are kept.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._kept: _Kept | None = None
        self._goes_on = False

    @classmethod
    def load(cls, text: bytes, lifetime: float) -> Self:
        """What an earlier process left; what cannot be read counts for nothing."""
        ages = cls(lifetime)
        with contextlib.suppress(msgspec.DecodeError):
            ages._kept = _decode(text)
        return ages

    def dump(self) -> bytes:
        """For the next process."""
        return _encode(self._kept)

    def observe(self, wall: float, monotonic: float) -> None:
        """It is now so late. Called every minute or so; what the clock does in between goes by unseen."""
        kept = self._kept
        if kept is None:
            self._kept = _Kept(0.0, wall, monotonic, [_Period(0.0, wall)])
            self._goes_on = True
            return
        # The monotonic clock restarts with the machine: then only the time since that is known.
        passed = monotonic - kept.monotonic if monotonic >= kept.monotonic else monotonic
        if not self._goes_on:
            # Another machine's monotonic clock may show anything.
            passed = min(passed, max(wall - kept.wall, 0.0))
            self._goes_on = True
        if passed >= self._lifetime / PERIODS:
            # A long gap, mostly of a service that was not running, must not make what came before it any younger.
            kept.periods.append(_Period(kept.elapsed, kept.wall))
        kept.elapsed += passed
        kept.wall, kept.monotonic = wall, monotonic
        newest = kept.periods[-1]
        newest.lowest = min(newest.lowest, wall)
        if kept.elapsed - newest.began >= self._lifetime / PERIODS:
            kept.periods.append(_Period(kept.elapsed, wall))
        # Of those that are over for longer than the lifetime only the newest is of use.
        while len(kept.periods) > 1 and kept.periods[1].began <= kept.elapsed - self._lifetime:
            del kept.periods[0]

    def before(self) -> float | None:
        """What ended before this wall-clock time did so longer than the lifetime ago; None when nothing did, surely."""
        kept = self._kept
        if kept is None or kept.periods[0].began > kept.elapsed - self._lifetime:
            return None
        return min(kept.wall - self._lifetime, *(period.lowest for period in kept.periods))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class Retention:
    """Deletes expired results, again and again.

    Args:
        store: where they are.
        lifetime: seconds for which results are kept.
        clock: time.
        logger: gets how many were deleted.
    """

    def __init__(self, store: RequestQueue, lifetime: float, clock: Clock, logger: Any) -> None:
        self._store = store
        self._lifetime = lifetime
        self._clock = clock
        self._logger = logger

    async def run(self) -> None:
        """Looks every `INTERVAL` seconds until it is cancelled. A store that does not answer is asked next time."""
        store, clock = self._store, self._clock
        ages: Ages | None = None
        while True:
            with contextlib.suppress(StoreError):
                if ages is None:
                    ages = Ages.load(await store.keep(AGES_KEY, b""), self._lifetime)
                ages.observe(clock.now(), clock.monotonic())
                await store.keep(AGES_KEY, ages.dump(), replace=True)
                before = ages.before()
                if before is not None and (purged := await store.purge(before)):
                    self._logger.info("expired results deleted", count=purged)
            await clock.sleep(INTERVAL)
