"""Limits how many requests whose worker died run at the same time. Pure.

A request may be what crashed its worker: it exhausts the memory, or its library ends the process. All others that ran
there lost an attempt with it. If they ran together again, they would crash again together, until each had used up its
attempts. So a worker runs one of them at first. Each that ends allows one more: after an ordinary crash, all of them
run again soon. A request in its last attempt runs without any other of them, so only a request that really crashes its
worker fails because of this.
"""

from __future__ import annotations

from typing import Any

from streamer.contracts.stores import Key
from streamer.core.records import RequestRecord, follows_loss


class LostRequests:
    """The running requests whose worker died, and how many more may run."""

    def __init__(self) -> None:
        self._running: dict[tuple[Key, int], bool] = {}
        """By key and fencing token: whether it is the request's last attempt."""
        self._together = 1

    def started(self, record: RequestRecord) -> None:
        """A claim of this worker starts to run."""
        if follows_loss(record):
            self._running[record.key, record.fence] = record.attempts >= record.max_attempts

    def ended(self, record: RequestRecord) -> bool:
        """It has ended in any way; the worker is alive. Returns whether it was one of them."""
        if self._running and self._running.pop((record.key, record.fence), None) is not None:
            self._together += 1
            return True
        return False

    def limits(self) -> dict[str, Any]:
        """Arguments of `RequestQueue.claim`."""
        running = len(self._running)
        alone = any(self._running.values())
        return {"lost_limit": 0 if alone else max(self._together - running, 0), "lost_running": running}

    def claimed(self) -> None:
        """A claim was processed: if none of them is running, the next one runs alone again."""
        if not self._running:
            self._together = 1
