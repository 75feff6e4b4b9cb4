"""Ensures that a service's process exits in time, whatever its handlers have left running or do with the event loop."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

from streamer.core.errors import StreamerError
from streamer.engine.timeouts import STOP_GRACE
from streamer.streams.standard import has_whole_process, stderr_sink

EXIT_GRACE: Final = 2.0
"""Seconds that threads and the exit handlers of foreign code get once the service has stopped."""
_FLUSH: Final = 0.5
_FAILED: Final = 1
_FAULT: Final = 70
"""As in `streamer.cli.exits`."""


class LoopWatchdog:
    """Ends the process if a handler blocks the event loop, so that no drain can begin.

    Args:
        loop: of the service.
        drain_timeout: seconds that handlers have to end.
        logger: gets the reason of the exit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, drain_timeout: float, logger: Any) -> None:
        self._loop = loop
        self._drain_timeout = drain_timeout
        self._logger = logger
        self._watching = False

    def start(self, *_: Any) -> None:
        """Called by the interpreter's own signal handler, which runs even if the loop does not."""
        if not self._watching and has_whole_process():
            self._watching = True
            # Not `threading.Thread`: the signal may arrive while the lock for starting one is held.
            _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        _wait(self._drain_timeout + STOP_GRACE)
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            # It is closed: the service has ended.
            return
        if not answered.wait(STOP_GRACE):
            with contextlib.suppress(Exception):
                self._logger.error(
                    "a handler blocks the event loop, so the service cannot drain; the process exits now"
                )
            _leave(_FAILED)


@contextlib.contextmanager
def exiting_in_time() -> Iterator[None]:
    """Ends the process within `EXIT_GRACE` after it. The interpreter would wait for each thread that is not a daemon,
    such as those of `asyncio.to_thread`, and for exit handlers of foreign code.
    """
    status = 0
    try:
        yield
    except BaseException as problem:
        status = _FAILED if isinstance(problem, StreamerError) else _FAULT
        raise
    finally:
        if has_whole_process():
            _thread.start_new_thread(_leave_after, (EXIT_GRACE, status))


def _leave_after(seconds: float, status: int) -> None:
    _wait(seconds)
    _leave(status)


def _leave(status: int) -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(Exception):
        stderr_sink().flush(_FLUSH)
    os._exit(status)


def _wait(seconds: float) -> None:
    # The module `threading` may be shut down already; a bare lock still works.
    lock = _thread.allocate_lock()
    lock.acquire()
    lock.acquire(timeout=seconds)
