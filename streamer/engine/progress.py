"""The reporter that a queued request's handler speaks to, and the pump that sends what it says."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from streamer.core.clock import Clock
from streamer.core.coroutines import DONE
from streamer.core.messages import ProgressUpdate, Reporter
from streamer.core.records import first_seq
from streamer.engine.codec import plain_text

Emit = Callable[["AttemptReporter", ProgressUpdate, int], Awaitable[None]]


class AttemptReporter(Reporter):
    """Takes reports from the loop, from threads and (through the pool's channel) from processes.

    It keeps at most two: the first report of the attempt, which always goes out, and the newest one.
    """

    __slots__ = (
        "_closed",
        "_lock",
        "_metadata",
        "_pump",
        "_seq",
        "claim",
        "first",
        "latest",
        "saved",
        "sending",
        "sent",
    )

    def __init__(self, pump: ProgressPump, claim: Any, fence: int) -> None:
        self._pump = pump
        self._closed = False
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._seq = first_seq(fence)
        self.claim = claim
        """Whose progress it is; the pump hands it on."""
        self.first: ProgressUpdate | None = None
        self.latest: ProgressUpdate | None = None
        self.sent = False
        """Whether the attempt's first report was taken."""
        self.sending: asyncio.Future[None] | None = None
        """While a report is being sent: none may be overtaken by a later one or by the terminal message."""
        self.saved = -math.inf
        """When progress was last written down, in monotonic seconds."""

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        pump = self._pump
        with self._lock:
            if self._closed:
                return
            before = self.latest
            floor = before.percentage if before is not None else 0.0
            # Not-a-number fails every comparison, and so counts as no change.
            percentage = float(min(percentage, 100.0)) if percentage > floor else floor
            if self._metadata:
                metadata = {**self._metadata, **metadata}
            update = ProgressUpdate(
                percentage=percentage,
                message=message if type(message) is str and message.isascii() else plain_text(message),
                metadata=metadata or None,
                timestamp=pump.clock.now(),
            )
            self.latest = update
            if not self.sent:
                self.sent = True
                self.first = update
        pump.mark(self)

    def set_metadata(self, key: str, value: Any) -> None:
        with self._lock:
            self._metadata = {**self._metadata, key: value}

    def close(self) -> None:
        """Takes no more reports: whatever still runs of the handler must not speak after its attempt has ended."""
        with self._lock:
            self._closed = True
            self._pump.dirty.pop(self, None)

    def next_seq(self) -> int:
        """The number of the next message of this request. Called on the loop only."""
        self._seq += 1
        return self._seq

    @property
    def seq(self) -> int:
        """The newest number given out."""
        return self._seq

    def take(self) -> list[ProgressUpdate]:
        """What is to be sent now, in order: nothing, one report, or the first and the newest."""
        with self._lock:
            pump_dirty = self._pump.dirty
            if self not in pump_dirty:
                # A thread may have made its report and not marked it yet: it keeps its first one until then.
                return []
            del pump_dirty[self]
            if self._closed:
                return []
            first, self.first = self.first, None
            latest = self.latest
        if first is not None and first is not latest and latest is not None:
            return [first, latest]
        return [] if latest is None else [latest]


class ProgressPump:
    """Sends what reporters hold, at most once per interval and request, all requests in one task.

    Args:
        emit: sends one update; must not raise. What it returns is awaited, unless it is `DONE`.
        interval: seconds between two reports of one request; 0 sends each turn of the loop.
        parallel: send for all requests at the same time; for when sending one takes as long as a call over a network.
    """

    def __init__(self, emit: Emit, *, interval: float, clock: Clock, parallel: bool = False) -> None:
        self.clock = clock
        self._parallel = parallel
        self.dirty: dict[AttemptReporter, None] = {}
        self._emit = emit
        self._interval = interval
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._called = False

    def mark(self, reporter: AttemptReporter) -> None:
        """Notes, from any thread, that the reporter has something to send."""
        self.dirty[reporter] = None
        if threading.get_ident() == self._thread:
            self._wake.set()
        elif not self._called:
            # One wake-up for any number of reports: a tight loop in a thread must not flood the loop's queue.
            self._called = True
            self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        self._called = False
        self._wake.set()

    async def flush(self, reporter: AttemptReporter) -> None:
        """Sends what one reporter still holds: its last value before the terminal message."""
        while reporter.sending is not None:
            await asyncio.wait({reporter.sending})
        for update in reporter.take():
            sending = self._emit(reporter, update, reporter.next_seq())
            if sending is not DONE:
                sent = reporter.sending = self._loop.create_future()
                try:
                    await sending
                finally:
                    reporter.sending = None
                    sent.set_result(None)

    async def run(self) -> None:
        """Sends until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._parallel:
                await asyncio.gather(*map(self.flush, list(self.dirty)))
            else:
                for reporter in list(self.dirty):
                    await self.flush(reporter)
            await self.clock.sleep(self._interval)
