"""The progress reporter of a queued request's handler, and the pump that sends the reports."""

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
    """Accepts reports from the loop, from threads and (through the pool's channel) from processes.

    It keeps at most two: the first report of the attempt, which is always sent, and the newest one.
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
        """The request; used by the pump."""
        self.first: ProgressUpdate | None = None
        self.latest: ProgressUpdate | None = None
        self.sent = False
        """Whether the attempt's first report has arrived."""
        self.sending: asyncio.Future[None] | None = None
        """Held while a report is being sent: neither a later one nor the terminal message may overtake it."""
        self.saved = -math.inf
        """When progress was last stored, in monotonic seconds."""

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        pump = self._pump
        with self._lock:
            if self._closed:
                return
            before = self.latest
            floor = before.percentage if before is not None else 0.0
            # NaN fails every comparison, and so counts as no change.
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
        """Accepts no more reports: code of the handler that is still running must not report after its attempt has
        ended.
        """
        with self._lock:
            self._closed = True
            self._pump.dirty.pop(self, None)

    def next_seq(self) -> int:
        """The number of the next message of this request. Called on the loop only."""
        self._seq += 1
        return self._seq

    @property
    def seq(self) -> int:
        """The newest number that was assigned."""
        return self._seq

    def take(self) -> list[ProgressUpdate]:
        """The reports to send now, in order: none, one, or the first and the newest."""
        with self._lock:
            pump_dirty = self._pump.dirty
            if self not in pump_dirty:
                # A thread may have created its report and not marked it yet: its first report is kept until then.
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
    """Sends the reports of all requests, at most one per interval and request, in one task.

    Args:
        emit: sends one update; must not raise. Its result is awaited, unless it is `DONE`.
        interval: seconds between two reports of one request; 0 sends in each iteration of the loop.
        parallel: send for all requests at the same time; for slow sends, such as calls over a network.
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
        """Called from any thread when the reporter has something to send."""
        self.dirty[reporter] = None
        if threading.get_ident() == self._thread:
            self._wake.set()
        elif not self._called:
            # One wake-up for any number of reports: a tight loop in a thread must not flood the event loop.
            self._called = True
            self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        self._called = False
        self._wake.set()

    async def flush(self, reporter: AttemptReporter) -> None:
        """Sends the last report of one reporter, before the terminal message."""
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
