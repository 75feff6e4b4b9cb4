"""Token buckets: limit an average rate and bursts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from streamer.core.units import Rate

MAX_KEYS: Final = 100_000
_NOISE: Final = 1e-6
"""Seconds of rounding error for large clock readings. A caller that waited as long as it was asked to must succeed."""


class Buckets:
    """One token bucket for each key, stored as a single number by the generic cell rate algorithm (ITU-T I.371, annex
    A).

    The number is the time at which the bucket is full again. Full buckets are removed, since a new bucket is full too.
    At most `max_keys` buckets are stored; beyond that, the bucket that was unused for longest is removed, full or not.

    Args:
        rate: how many tokens are added per time.
        burst: how many tokens a full bucket holds.
        max_keys: how many buckets are stored.
    """

    __slots__ = ("_every", "_full_at", "_holds", "_max_keys")

    def __init__(self, rate: Rate, burst: int, *, max_keys: int = MAX_KEYS) -> None:
        self._every = rate.period / rate.limit
        self._holds = self._every * burst
        self._max_keys = max_keys
        # In the order of the last use, so that full ones are found at the front.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, count: int = 1) -> float:
        """Takes tokens.

        Args:
            key: of the bucket.
            now: seconds of `Clock.monotonic`.
            count: how many; more than a full bucket holds are never available.

        Returns:
            0 on success; otherwise the seconds until there are enough, and nothing is taken.
        """
        full_at = self._full_at
        was = full_at.get(key, now)
        will = max(was, now) + self._every * count
        wait = will - now - self._holds
        if wait > _NOISE:
            return wait
        full_at[key] = will
        full_at.move_to_end(key)
        # At most two for each call: buckets are removed faster than they are added, and no call has to remove many.
        for _ in range(min(2, len(full_at) - 1)):
            oldest, filled = next(iter(full_at.items()))
            if filled > now and len(full_at) <= self._max_keys:
                break
            del full_at[oldest]
        return 0.0
