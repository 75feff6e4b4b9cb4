"""The operations that the writer process has not answered: their size, which were sent, and which may have crashed
writers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

WINDOW: Final = 8 * 1024 * 1024
"""Maximum bytes that are sent to the writer and not answered; the rest waits here, once instead of twice in memory."""
CHUNK: Final = 1024 * 1024
"""Maximum bytes of operations in one message."""
SUSPECT: Final = 2
"""After this many writers that died with the same operation unanswered, operations are sent one by one."""
CULPRIT: Final = 4
"""After this many, the last of them with nothing else unanswered, the operation is the cause. The store fails after one
more, so a single operation cannot make it fail.
"""
ALONE: Final = 2
"""How many of them must have died with nothing else unanswered."""


class Operation:
    """One operation and its caller.

    Args:
        number: of all operations of this process.
        kind: the operation.
        message: the encoded message.
        answer: the caller's future.
        read: converts the writer's answer into the result; its exceptions are raised for the caller.
    """

    __slots__ = ("answer", "deaths", "deaths_alone", "kind", "message", "number", "read", "sent")

    def __init__(
        self,
        number: int,
        kind: int,
        message: bytes,
        answer: asyncio.Future[Any],
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.number = number
        self.kind = kind
        self.message = message
        self.answer = answer
        self.read = read
        self.sent = False
        self.deaths = 0
        self.deaths_alone = 0


class Unanswered:
    """The operations in their order.

    Attributes:
        size: bytes of all of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._all: dict[int, Operation] = {}
        self._unsent: deque[Operation] = deque()
        self._unsent_size = 0
        """Bytes of operations that were not sent."""
        self._on_the_way = 0
        """Bytes of operations that were sent."""
        self._one_by_one_until = 0
        """The newest operation that may have crashed writers."""

    @property
    def unsent(self) -> int:
        """How many have not been sent."""
        return len(self._unsent)

    def add(self, operation: Operation) -> None:
        """Adds an operation after all others."""
        self._all[operation.number] = operation
        self._unsent.append(operation)
        length = len(operation.message)
        self._unsent_size += length
        self.size += length

    def to_send(self, *, everything: bool = False) -> Iterator[list[bytes]]:
        """The operations to send now, or all of them, in messages of limited size; they count as sent."""
        unsent = self._unsent
        if self._unsent_size < CHUNK and not self._one_by_one_until and self._on_the_way + self._unsent_size <= WINDOW:
            if unsent:
                yield self._all_at_once()
            return
        messages: list[bytes] = []
        size = 0
        while unsent and (everything or self._may_go(unsent[0])):
            operation = unsent.popleft()
            operation.sent = True
            length = len(operation.message)
            self._on_the_way += length
            self._unsent_size -= length
            messages.append(operation.message)
            size += length
            if size >= CHUNK:
                yield messages
                messages, size = [], 0
        if messages:
            yield messages

    def _all_at_once(self) -> list[bytes]:
        messages = []
        for operation in self._unsent:
            operation.sent = True
            messages.append(operation.message)
        self._unsent.clear()
        self._on_the_way += self._unsent_size
        self._unsent_size = 0
        return messages

    def _may_go(self, operation: Operation) -> bool:
        if not self._on_the_way:
            return True
        # Suspects are sent alone, and later operations wait until the last of them is answered.
        if operation.number <= self._one_by_one_until or next(iter(self._all)) <= self._one_by_one_until:
            return False
        return self._on_the_way + len(operation.message) <= WINDOW

    def answered(self, number: int) -> Operation:
        """The operation of that number, which is now answered."""
        operation = self._all.pop(number)
        length = len(operation.message)
        self.size -= length
        self._on_the_way -= length
        return operation

    def writer_died(self) -> Operation | None:
        """Everything that was sent must be sent again, except the returned operation, which crashes the writers."""
        sent = [operation for operation in self._all.values() if operation.sent]
        self._on_the_way = 0
        for operation in sent:
            operation.sent = False
            operation.deaths += 1
        culprit = None
        if len(sent) == 1:
            sent[0].deaths_alone += 1
            if sent[0].deaths >= CULPRIT and sent[0].deaths_alone >= ALONE:
                culprit = self._all.pop(sent[0].number)
                self.size -= len(culprit.message)
        elif any(operation.deaths >= SUSPECT for operation in sent):
            self._one_by_one_until = sent[-1].number
        self._unsent = deque(self._all.values())
        self._unsent_size = self.size
        return culprit

    def clear(self) -> list[Operation]:
        """Nothing is sent any longer. Returns the operations that were never answered."""
        left = list(self._all.values())
        self._all.clear()
        self._unsent.clear()
        self.size = self._unsent_size = self._on_the_way = 0
        return left
