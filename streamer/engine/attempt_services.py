"""What all attempts of one worker use."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streamer.contracts.stores import RequestQueue
from streamer.core.attempts import Cause
from streamer.core.clock import Clock
from streamer.engine.background import BackgroundTasks
from streamer.engine.delivery import Delivery
from streamer.engine.leases import LeaseKeeper
from streamer.engine.outcome_writer import OutcomeWriter
from streamer.engine.progress_writer import ProgressWriter
from streamer.engine.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptServices:
    """Made once by the worker."""

    queue: RequestQueue
    routes: Mapping[str, Route]
    delivery: Delivery
    clock: Clock
    logger: Any
    outcomes: OutcomeWriter
    progress: ProgressWriter
    leases: LeaseKeeper
    background: BackgroundTasks
    max_result_size: int
    expose_errors: bool
    """Send the text of unexpected exceptions to clients (development only)."""
    causes: Callable[[BaseException], Cause]
    """Makes of an exception what operators find with the attempt that it ended."""
    generator: random.Random
    """Of the jitter between attempts."""
