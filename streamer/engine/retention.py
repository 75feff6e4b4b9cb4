"""Deletes results older than `worker.result_ttl`, by elapsed time, whatever the wall clock was set to."""

from __future__ import annotations

import contextlib
from typing import Any, Final, Self

import msgspec

from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

INTERVAL: Final = 60.0
"""Seconds between two searches for results that are too old."""
AGES_KEY: Final = "ages"
"""The name under which a store keeps it."""
PERIODS: Final = 100
"""Into how many parts the lifetime of results is divided: they are kept up to one part longer."""


class _Period(msgspec.Struct, array_like=True):
    """A part of the time in which the service ran."""

    began: float
    """Seconds of running time."""
    lowest: float
    """The earliest wall-clock time in it."""


class _Kept(msgspec.Struct):
    elapsed: float
    wall: float
    monotonic: float
    periods: list[_Period]


class Ages:
    """Finds the wall-clock time before which everything is older than the lifetime.

    If the clock is set forward, or is wrong at boot, everything looks old. So elapsed time is measured by the monotonic
    clock, added up across restarts, and compared with the wall-clock times. Time in which the machine was off or asleep
    does not count, so results stored before are kept longer by it.

    Args:
        lifetime: seconds for which results are kept.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._kept: _Kept | None = None
        self._goes_on = False

    @classmethod
    def load(cls, text: bytes, lifetime: float) -> Self:
        """The state from an earlier process; unreadable state is ignored."""
        ages = cls(lifetime)
        with contextlib.suppress(msgspec.DecodeError):
            ages._kept = _decode(text)
        return ages

    def dump(self) -> bytes:
        """The state for the next process."""
        return _encode(self._kept)

    def observe(self, wall: float, monotonic: float) -> None:
        """Sets the current time. Called every minute or so; changes of the clock in between are not noticed."""
        kept = self._kept
        if kept is None:
            self._kept = _Kept(0.0, wall, monotonic, [_Period(0.0, wall)])
            self._goes_on = True
            return
        # The monotonic clock starts at zero with the machine: then only its own time is known.
        passed = monotonic - kept.monotonic if monotonic >= kept.monotonic else monotonic
        if not self._goes_on:
            # The monotonic clock of another machine may have any value.
            passed = min(passed, max(wall - kept.wall, 0.0))
            self._goes_on = True
        if passed >= self._lifetime / PERIODS:
            # A long gap, usually of a service that was not running, must not make older results younger.
            kept.periods.append(_Period(kept.elapsed, kept.wall))
        kept.elapsed += passed
        kept.wall, kept.monotonic = wall, monotonic
        newest = kept.periods[-1]
        newest.lowest = min(newest.lowest, wall)
        if kept.elapsed - newest.began >= self._lifetime / PERIODS:
            kept.periods.append(_Period(kept.elapsed, wall))
        # Of those that are older than the lifetime, only the newest is useful.
        while len(kept.periods) > 1 and kept.periods[1].began <= kept.elapsed - self._lifetime:
            del kept.periods[0]

    def before(self) -> float | None:
        """Results that ended before this wall-clock time ended longer than the lifetime ago; None when this is not
        certain of any.
        """
        kept = self._kept
        if kept is None or kept.periods[0].began > kept.elapsed - self._lifetime:
            return None
        return min(kept.wall - self._lifetime, *(period.lowest for period in kept.periods))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class Retention:
    """Deletes expired results periodically.

    Args:
        store: of the results.
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
        """Runs every `INTERVAL` seconds until it is cancelled. If the store does not respond, the next run tries
        again.
        """
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
