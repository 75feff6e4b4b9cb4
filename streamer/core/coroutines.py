"""Steps coroutines by hand, so that work which does not wait needs no task."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Final


class Resumed:
    """Awaits the rest of a coroutine that has already yielded once.

    Args:
        coroutine: stepped by hand until it yielded.
        waits_for: the yielded object; the task must wait for it before continuing.
    """

    __slots__ = ("_coroutine", "_waits_for")

    def __init__(self, coroutine: Any, waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as problem:  # noqa: BLE001 - a cancellation belongs to the coroutine
                step, argument = coroutine.throw, problem
            else:
                step, argument = coroutine.send, sent
            try:
                waits_for = step(argument)
            except StopIteration as stop:
                return stop.value


class EnterTask:
    """Suspends once when awaited: code that stepped the coroutine by hand then continues it inside a task."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


class _Done:
    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


DONE: Final[Awaitable[None]] = _Done()
"""The return value of a method that may have to be awaited and has nothing to wait for. Awaiting it continues
immediately; code on the path of every message compares with it and skips the await.
"""
