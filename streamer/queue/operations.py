"""The operations on a queue, as values: a batch of them needs one read and one write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from streamer.contracts.stores import Claims, Existing, Key
from streamer.core.records import RequestRecord
from streamer.queue.fairness import Capacity

Decide = Callable[[RequestRecord | None, float], RequestRecord | None]
"""The change of a record (None: there is none) at a time. Returning the same record writes nothing. Raises the error
for the caller.
"""


class Operation:
    """One operation, and its outcome."""

    __slots__ = ("done", "problem", "result", "settled")

    def __init__(self) -> None:
        self.result: Any = None
        self.problem: Exception | None = None
        """The error for its caller."""
        self.settled = False
        self.done: asyncio.Future[None] | None = None
        """What its caller waits for."""

    def succeed(self, result: Any) -> None:
        """It is done."""
        self.result = result
        self.problem = None
        self.settled = True

    def refuse(self, problem: Exception) -> None:
        """It has failed."""
        self.problem = problem
        self.settled = True


class Insert(Operation):
    """A new record. The result is an `Existing` where its key is taken."""

    __slots__ = ("record",)
    result: Existing | None

    def __init__(self, record: RequestRecord) -> None:
        super().__init__()
        self.record: Final = record


class Edit(Operation):
    """A change of one record. The result is the record after the change."""

    __slots__ = ("decide", "key")

    def __init__(self, key: Key, decide: Decide) -> None:
        super().__init__()
        self.key: Final = key
        self.decide: Final = decide


class Claim(Operation):
    """A claim by a worker."""

    __slots__ = ("capacity", "lease", "limit", "worker")
    result: Claims

    def __init__(self, worker: str, limit: int, lease: float, capacity: Capacity) -> None:
        super().__init__()
        self.worker: Final = worker
        self.limit: Final = limit
        self.lease: Final = lease
        self.capacity: Final = capacity


class Write(Operation):
    """Another write, which needs no decision."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.call: Final = call
