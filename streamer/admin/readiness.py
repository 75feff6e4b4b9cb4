"""Whether the service can do its work: what `/readyz` answers by."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StreamerError
from streamer.core.foreign_code import one_line
from streamer.core.health import Health

TIMEOUT: Final = 2.0
"""Seconds that one check may take."""
FRESH: Final = 5.0
"""Seconds for which a result is given again, so that probes cost the store one small write in this time at most."""
RETRY: Final = 1.0
"""The same of results that found something: a service that has just started should not look broken for long."""
PROBE_KEY: Final = "streamer.readyz"
"""The name under which the store keeps the time of the last probe."""


class Found(NamedTuple):
    """The result of one check."""

    problem: str | None
    """None: nothing is wrong."""
    seconds: float
    """How long the check took."""


Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong, or None; a StreamerError that it raises is what is wrong, too."""


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all checks."""

    draining: bool
    results: Mapping[str, Found]

    def ready(self, excluded: Collection[str] = ()) -> bool:
        """Whether nothing is wrong, apart from the excluded checks."""
        return not self.draining and not any(
            found.problem for name, found in self.results.items() if name not in excluded
        )


class Readiness:
    """Runs the checks, on the service's event loop.

    Args:
        checks: by name, in the order in which they are shown.
        draining: whether the service shuts down.
        clock: the service's.

    Attributes:
        last: the newest report; None before the first.
    """

    def __init__(self, checks: Mapping[str, Check], draining: Callable[[], bool], clock: Clock) -> None:
        self.names = tuple(checks)
        self.last: Report | None = None
        self._checks = checks
        self._draining = draining
        self._clock = clock
        self._asking = asyncio.Lock()
        self._results: dict[str, Found] = {}
        self._next = -math.inf

    async def report(self) -> Report:
        """The results of all checks, at most `FRESH` seconds old."""
        async with self._asking:
            now = self._clock.monotonic()
            if now >= self._next:
                found = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
                self._results = dict(zip(self._checks, found, strict=True))
                broken = any(each.problem for each in found)
                self._next = self._clock.monotonic() + (RETRY if broken else FRESH)
        self.last = Report(self._draining(), self._results)
        return self.last

    async def _run(self, check: Check) -> Found:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                problem = await check()
        except TimeoutError:
            problem = f"no answer within {TIMEOUT:g} s"
        except StreamerError as raised:
            problem = str(raised) or type(raised).__name__
        except Exception as raised:  # noqa: BLE001 - a store of a plugin; a probe must have an answer
            problem = one_line(raised)
        return Found(problem, self._clock.monotonic() - began)


def store_check(store: RequestQueue, health: Health, clock: Clock) -> Check:
    """Writes a small value, which nothing reads: a store that can only be read is not ready."""

    async def check() -> str | None:
        if health.problems:
            return "; ".join(health.problems)
        await store.keep(PROBE_KEY, str(int(clock.now())).encode(), replace=True)
        return None

    return check


def worker_check(last_claim: Callable[[], float | None], poll_interval: float, clock: Clock) -> Check:
    """Whether the worker gets answers from the queue.

    Args:
        last_claim: when it last did (monotonic seconds); None before the first answer.
        poll_interval: seconds after which it asks at the latest.
        clock: the service's.
    """
    longest = max(10 * poll_interval, 30.0)

    async def check() -> str | None:
        last = last_claim()
        if last is None:
            return "the worker has not asked the queue yet"
        silence = clock.monotonic() - last
        return f"the worker has had no answer from the queue for {silence:.0f} s" if silence > longest else None

    return check
