"""How many requests whose worker died may run together. Pure.

A request may be what killed its worker: it exhausts the memory, or its library ends the process. All others that ran
there lost an attempt with it. If they ran together again they would die together again, until each had used up its
attempts. So a worker runs one of them at first. Each that ends makes room for one more: after an ordinary crash all of
them run again soon. A request in its last attempt runs without any other of them, so what fails by this is only what
really kills its worker.
"""

from __future__ import annotations

from typing import Any

from streamer.contracts.stores import Key
from streamer.core.records import RequestRecord, follows_loss


class LostRequests:
    """Those that run at one worker, and how many more may."""

    def __init__(self) -> None:
        self._running: dict[tuple[Key, int], bool] = {}
        """By key and fencing number: whether it is the request's last attempt."""
        self._together = 1

    def started(self, record: RequestRecord) -> None:
        """A claim of this worker begins to run."""
        if follows_loss(record):
            self._running[record.key, record.fence] = record.attempts >= record.max_attempts

    def ended(self, record: RequestRecord) -> bool:
        """It has ended, however it did; the worker is alive. Returns whether it was one of them."""
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
        """A claim was taken in: where it left none running, the next one that is lost runs alone again."""
        if not self._running:
            self._together = 1
