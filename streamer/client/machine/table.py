"""An immutable table whose newest version is as fast as a plain dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Table(Generic[V]):
    """Values by key, unordered. A change returns another table and leaves this one unchanged.

    The newest version holds the dictionary, and an older one only the change that leads back to it, as in Henry Baker's
    "Shallow Binding Makes Functional Arrays Fast" (1991): copying ten thousand concurrent requests for each message
    would be too slow. Reading an older version gives it its own copy.
    """

    __slots__ = ("_change", "_items")

    def __init__(self, items: dict[str, V] | None = None) -> None:
        self._items: dict[str, V] | None = {} if items is None else items
        """None when another table has it."""
        self._change: tuple[Table[V], str, V | None] | None = None
        """The table that has it instead, and the value that differs in this one."""

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, key: object) -> bool:
        return key in self._all()

    def __iter__(self) -> Iterator[V]:
        return iter(self._all().values())

    def get(self, key: str) -> V | None:
        """The value, or None."""
        return (self._all() if self._items is None else self._items).get(key)

    def put(self, key: str, value: V) -> Table[V]:
        """A table in which the key has this value."""
        items = self._all() if self._items is None else self._items
        newer = Table(items)
        self._change = (newer, key, items.get(key))
        self._items = None
        items[key] = value
        return newer

    def without(self, key: str) -> Table[V]:
        """A table without the key."""
        items = self._all() if self._items is None else self._items
        newer = Table(items)
        self._change = (newer, key, items.pop(key, None))
        self._items = None
        return newer

    def _all(self) -> dict[str, V]:
        if self._items is None:
            assert self._change is not None
            newer, _, _ = self._change
            undo = [self._change]
            while newer._change is not None:  # noqa: SLF001 - it is one of these tables
                undo.append(newer._change)  # noqa: SLF001
                newer = undo[-1][0]
            self._items, self._change = dict(newer._all()), None  # noqa: SLF001
            for _, key, value in reversed(undo):
                if value is None:
                    self._items.pop(key, None)
                else:
                    self._items[key] = value
        return self._items
