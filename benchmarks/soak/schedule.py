"""What breaks when: worked out from the seed before anything runs."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

FAULTS: Final = {
    "kill": 36,
    "take_over": 14,
    "kill_writer": 14,
    "kill_pool": 6,
    "disk": 14,
    "clock": 16,
    "stall": 5,
    "stall_writer": 5,
}
"""Of the service, with their weights."""
CUTS: Final = {"cut": 64, "mute": 22, "cut_all": 4, "slow": 10}
"""Of connections: reset; silent for a moment, then reset, with what was sent meanwhile lost; all of them; slowed down
for as long as they last."""


class Fault(NamedTuple):
    """One thing that breaks."""

    at: float
    """Seconds from the beginning."""
    kind: str
    size: float
    """Between 0 and 1: which of many, how long, how far."""


def schedule(seed: int, seconds: float) -> list[Fault]:
    """Faults of the service every few seconds, cuts of connections about three a second; in order."""
    generator = random.Random(seed)
    faults = []
    for kinds, shortest, longest in ((FAULTS, 1.5, 5.0), (CUTS, 0.05, 0.6)):
        at = 1.0
        while (at := at + generator.uniform(shortest, longest)) < seconds:
            (kind,) = generator.choices(list(kinds), list(kinds.values()))
            faults.append(Fault(at, kind, generator.random()))
    return sorted(faults)
