"""Wraps the store of a plugin, and turns its exceptions into store errors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from streamer.core.errors import StoreError, StreamerError
from streamer.core.foreign_code import is_our_own, one_line

_AWAITABLE: Final = frozenset({"enqueue"})
"""Methods that may be plain functions that return an awaitable."""


class StoreBoundary:
    """Passes every call on to a store, and turns unexpected exceptions into StoreError.

    Callers of a store try again after a StoreError. They need not know the exceptions of its driver, which may be a
    panic of a Rust extension and no `Exception` at all.

    Args:
        store: of a plugin.
        name: of its component, for the error.
    """

    def __init__(self, store: Any, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._store, attribute)
        if inspect.iscoroutinefunction(value) or attribute in _AWAITABLE:
            value = self._guarded(value)
            # Cached, so that the next call does not come here.
            setattr(self, attribute, value)
        return value

    def _guarded(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(method)
        async def call(*arguments: Any, **options: Any) -> Any:
            try:
                return await method(*arguments, **options)
            except StreamerError:
                raise
            except BaseException as problem:
                if is_our_own(problem):
                    raise
                raise StoreError(f"the store {self._name!r} failed: {one_line(problem)}") from problem

        return call
