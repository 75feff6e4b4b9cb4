"""A fair queue for functions that wait for a thread or a process: owners take turns, each in the order of its calls."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from streamer.core.context import current_request

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue for each owner. An owner with a thousand items delays another owner's item by a single one."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, owner: str, item: T) -> None:
        """Adds an item after those of the same owner."""
        self._queues.setdefault(owner, deque()).append(item)

    def pop(self) -> T:
        """Removes and returns the next item. The queue must not be empty."""
        owner, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._queues[owner] = queue
        return item

    def discard(self, owner: str, item: T) -> None:
        """Removes an item if it is still waiting."""
        queue = self._queues.get(owner, deque())
        if item in queue:
            queue.remove(item)
            if not queue:
                del self._queues[owner]


def current_owner() -> str:
    """The owner of the current request; empty outside of one."""
    request = current_request.get()
    return "" if request is None else request.owner
