"""The life of a service's process, whatever it runs: it starts, runs until a signal or a failure, drains, and ends.

1. Signals count before anything is opened, so that a start that waits can be given up.
2. What the process runs is opened, and its tasks begin.
3. The first signal, a store that has failed for good, or the end of a task begins the drain: nothing new is taken, and
   what runs has `server.drain_timeout`. A second signal ends that time at once.
4. The tasks are cancelled, connections are closed, what was opened is closed in the reverse order, the loop at last.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

from streamer.contracts.stores import RequestQueue
from streamer.core.errors import StoreError, StoreUnavailable
from streamer.runtime.event_loop import close_loop, new_loop, run_until_complete
from streamer.runtime.process_exit import LoopWatchdog
from streamer.runtime.signals import on_stop

YOUNG_OBJECTS: Final = 2_000
"""Objects that are made, and not freed, between two looks at the young ones. Python's own number suits programs that
make few; requests under way are many, all of them found alive. Not much larger: what a failed request leaves behind in
its traceback, such as its payload, waits for the next look.
"""


class Process(Protocol):
    """What one kind of process runs. `Lifecycle` calls the methods in this order, each once if nothing else is said."""

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, Any]]:
        """What runs until the process stops, by name. The end of one ends the process."""
        ...

    def ready(self) -> None:
        """Logs that requests are taken."""
        ...

    def under_way(self) -> dict[str, int]:
        """How much there is to drain, for the log."""
        ...

    def begin_drain(self) -> None:
        """From now on nothing new is taken."""
        ...

    async def drain(self, queued: float, direct: float) -> int:
        """Waits for what runs, then stops it. Called again, with no time at all, if it is cancelled.

        Args:
            queued: seconds that queued requests have.
            direct: seconds that requests have which are answered directly.

        Returns how many requests went back to the queue.
        """
        ...

    async def close(self) -> None:
        """Ends connections and writes what is still to be written. The drain is over, and the tasks are cancelled."""
        ...


class Lifecycle:
    """Takes one process from its first signal handler to its last log line. Made within its running loop.

    Args:
        drain_timeout: seconds that running requests have once the process is to stop.
        logger: of the process.
    """

    def __init__(self, drain_timeout: float, logger: Any) -> None:
        self.stop = asyncio.Event()
        """Set by the first signal."""
        self._stop_now = asyncio.Event()
        self._drain_timeout = drain_timeout
        self._logger = logger
        watchdog = LoopWatchdog(asyncio.get_running_loop(), drain_timeout, logger)
        on_stop(self.stop, self._stop_now, watchdog.start)

    async def run(self, process: Process, store: RequestQueue) -> None:
        """Runs the process until a signal asks it to stop, then drains it.

        Raises:
            StoreUnavailable: the store has failed for good.
            Exception: what one of the tasks raised.
        """
        failed = asyncio.create_task(raise_when_failed(store), name="store")
        tasks = [failed, *(asyncio.create_task(task, name=name) for name, task in process.tasks().items())]
        stopping = asyncio.create_task(self.stop.wait(), name="stop")
        exempt_from_collection()
        process.ready()
        try:
            await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            # What no store can take back is not worth waiting for.
            returned = await self._drain(process, queued=0.0 if failed.done() else self._drain_timeout)
            await _cancel(*tasks, stopping)
            await process.close()
            self._logger.info("stopped", returned_to_queue=returned)

    async def _drain(self, process: Process, queued: float) -> int:
        self._logger.info("draining", **process.under_way())
        process.begin_drain()
        draining = asyncio.create_task(process.drain(queued, self._drain_timeout))
        second_signal = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait([draining, second_signal], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            self._logger.warning("second signal: stopping now")
            await _cancel(draining)
            draining = asyncio.create_task(process.drain(0.0, 0.0))
        await _cancel(second_signal)
        return await draining


def run_process(main: Coroutine[Any, Any, None], logger: Any) -> None:
    """Runs the process's main coroutine on an event loop of its own, and closes that.

    Not by `asyncio.Runner`: it would wait for ever for a handler that swallows its cancellation.
    """
    loop = new_loop()
    try:
        run_until_complete(loop, main, logger)
    finally:
        close_loop(loop)


async def raise_when_failed(store: RequestQueue) -> None:
    """Waits until the store has failed for good.

    Raises:
        StoreUnavailable: it has; and why, as far as it says so.
    """
    await store.failed()
    reason = "it does not say why"
    try:
        await store.counts()
    except StoreError as problem:
        reason = str(problem)
    raise StoreUnavailable(f"the store has failed for good: {reason}")


def exempt_from_collection() -> None:
    """What a start has made lives as long as the process: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
