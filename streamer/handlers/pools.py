"""Threads and processes for functions. Queued and direct requests have separate pools, so neither waits for the
other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from streamer.core.messages import Request
from streamer.handlers.processes import ProcessPool
from streamer.handlers.threads import ThreadPool

THREAD_GRACE = 5.0
"""Seconds that functions in threads get to finish at shutdown."""


class Pools:
    """The pools that run functions.

    Args:
        threads: for functions of queued requests.
        direct_threads: for functions of requests that are answered at once.
        processes: for CPU-bound functions of queued requests; 0: one per core that this process may use.
        direct_processes: the same for requests that are answered at once.
        logger: gets how many functions outlived their requests.
    """

    def __init__(
        self,
        *,
        threads: int = 32,
        direct_threads: int = 32,
        processes: int = 0,
        direct_processes: int = 0,
        logger: Any = None,
    ) -> None:
        self.queued_threads = ThreadPool(threads, logger=logger)
        self.direct_threads = ThreadPool(direct_threads, name="streamer-direct", logger=logger)
        self.queued_processes = ProcessPool(processes)
        self.direct_processes = ProcessPool(direct_processes)

    @property
    def left_over(self) -> int:
        """How many functions still run after their callers have gone."""
        return self.queued_threads.left_over + self.direct_threads.left_over

    async def in_thread(self, function: Callable[..., Any], request: Request, options: Mapping[str, Any]) -> Any:
        """As `ThreadPool.run`."""
        pool = self.queued_threads if request.queued else self.direct_threads
        return await pool.run(function, request, **options)

    async def in_process(self, function: Callable[..., Any], request: Request, options: Mapping[str, Any]) -> Any:
        """As `ProcessPool.run`."""
        pool = self.queued_processes if request.queued else self.direct_processes
        return await pool.run(function, options, request)

    async def close(self) -> None:
        """Kills functions in processes, and waits for those in threads; functions that do not finish end with the
        process.
        """
        await asyncio.gather(self.queued_processes.close(), self.direct_processes.close())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(THREAD_GRACE):
                await asyncio.gather(self.queued_threads.close(), self.direct_threads.close())
