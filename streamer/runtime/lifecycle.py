"""The lifecycle of a service's process: it starts, runs until a signal or a failure, drains, and ends.

1. Signals are handled before anything is opened, so that a start that waits can be given up.
2. The parts of the process are opened, and its tasks start.
3. The first signal, a store that has failed permanently, or the end of a task starts the drain: nothing new is
   accepted, and running requests have `server.drain_timeout`. A second signal ends that time at once.
4. The tasks are cancelled, connections are closed, then the parts in reverse order, and the loop at last.
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
"""Objects that are created, and not freed, between two collections of the youngest generation. Python's default suits
programs that create few objects; requests in progress are many, and each collection would find all of them alive. Not
much larger, because the traceback of a failed request keeps objects, such as its payload, until the next collection.
"""


class Process(Protocol):
    """What one kind of process runs. `Lifecycle` calls the methods in this order, each once unless stated otherwise."""

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, Any]]:
        """The tasks that run until the process stops, by name. If one ends, the process ends."""
        ...

    def ready(self) -> None:
        """Logs that requests are accepted."""
        ...

    def under_way(self) -> dict[str, int]:
        """How much there is to drain, for the log."""
        ...

    def begin_drain(self) -> None:
        """Nothing new is accepted from now on."""
        ...

    async def drain(self, queued: float, direct: float) -> int:
        """Waits for running requests, then stops them. Called again, without any time, if it is cancelled.

        Args:
            queued: seconds for queued requests.
            direct: seconds for direct requests.

        Returns how many requests returned to the queue.
        """
        ...

    async def close(self) -> None:
        """Closes connections and finishes writes. The drain is over, and the tasks are cancelled."""
        ...


class Lifecycle:
    """Takes one process from its first signal handler to its last log line. Created within its running loop.

    Args:
        drain_timeout: seconds for running requests when the process must stop.
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
            StoreUnavailable: the store has failed permanently.
            Exception: raised by one of the tasks.
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
            # Waiting is useless when no store can accept the outcomes.
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
    """Runs the process's main coroutine on a new event loop, and closes the loop.

    Not with `asyncio.Runner`: it would wait forever for a handler that suppresses its cancellation.
    """
    loop = new_loop()
    try:
        run_until_complete(loop, main, logger)
    finally:
        close_loop(loop)


async def raise_when_failed(store: RequestQueue) -> None:
    """Waits until the store has failed permanently.

    Raises:
        StoreUnavailable: it has; with the reason, if known.
    """
    await store.failed()
    reason = "without a reason"
    try:
        await store.counts()
    except StoreError as problem:
        reason = str(problem)
    raise StoreUnavailable(f"the store has failed permanently: {reason}")


def exempt_from_collection() -> None:
    """Objects created by the start live as long as the process: the garbage collector need not check them
    repeatedly.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
