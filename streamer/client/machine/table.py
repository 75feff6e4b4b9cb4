"""An immutable table of which the newest version costs no more than a plain dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Table(Generic[V]):
    """Values by key, in no order. A change returns another table and leaves this one as it is.

    The newest version holds the dictionary, and an older one the one change that leads back to it, as in Henry Baker's
    "Shallow Binding Makes Functional Arrays Fast" (1991): ten thousand requests at once would be too many to copy for
    each message. An older version that is read after all takes a copy of its own.
    """

    __slots__ = ("_change", "_items")

    def __init__(self, items: dict[str, V] | None = None) -> None:
        self._items: dict[str, V] | None = {} if items is None else items
        """None where another table has it."""
        self._change: tuple[Table[V], str, V | None] | None = None
        """The table that has it instead, and which value this one has that differs."""

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
