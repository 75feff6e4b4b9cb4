"""Token buckets: how often something may happen, on average and at once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from streamer.core.units import Rate

MAX_KEYS: Final = 100_000
_NOISE: Final = 1e-6
"""Seconds that the arithmetic of large clock readings may be wrong by; whoever waited as told must get through."""


class Buckets:
    """One token bucket for each key, as the generic cell rate algorithm keeps it: one number (ITU-T I.371, annex A).

    That number is when the bucket will be full again. Full buckets are forgotten, for a new one is full too; what is
    remembered is at most what was taken from while one bucket fills, and never more than `max_keys`: then the bucket
    that was longest not taken from is forgotten, full or not.

    Args:
        rate: how many tokens come back in what time.
        burst: how many a full bucket holds.
        max_keys: how many buckets are remembered.
    """

    __slots__ = ("_every", "_full_at", "_holds", "_max_keys")

    def __init__(self, rate: Rate, burst: int, *, max_keys: int = MAX_KEYS) -> None:
        self._every = rate.period / rate.limit
        self._holds = self._every * burst
        self._max_keys = max_keys
        # In the order of the last taking, so that full ones are found at the front.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, count: int = 1) -> float:
        """Takes tokens.

        Args:
            key: whose bucket.
            now: seconds of `Clock.monotonic`.
            count: how many; more than a full bucket holds are never there.

        Returns:
            0 when there were so many; otherwise the seconds until there are, and nothing is taken.
        """
        full_at = self._full_at
        was = full_at.get(key, now)
        will = max(was, now) + self._every * count
        wait = will - now - self._holds
        if wait > _NOISE:
            return wait
        full_at[key] = will
        full_at.move_to_end(key)
        # Two for each that may have come: so they go faster than they come, and none has to wait for a great tidying.
        for _ in range(min(2, len(full_at) - 1)):
            oldest, filled = next(iter(full_at.items()))
            if filled > now and len(full_at) <= self._max_keys:
                break
            del full_at[oldest]
        return 0.0
