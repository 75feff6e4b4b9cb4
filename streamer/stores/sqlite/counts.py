"""How many records each owner, or each share, has in the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HELD: Final = 8192
"""Names whose counts are held in memory before small ones are dropped."""
SMALL: Final = 64
"""A count below it costs little to read again."""


class Counts:
    """Counts by name. As long as `complete` is set, a name that is not held has nothing in the queue; after that its
    count is read from the file when it is asked for, and held.

    Large counts are never dropped, because reading one costs as much as it counts: there are at most as many of them
    as the queue has records, divided by `SMALL`.

    Args:
        read: counts the records of one name in the file.

    Attributes:
        held: the counts that are known.
        complete: whether they are all there are.
    """

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read
        self._bound = HELD
        self.held: dict[str, int] = {}
        self.complete = True

    def clear(self, *, complete: bool) -> None:
        """Forgets everything. With `complete` the caller adds every count there is."""
        self.held.clear()
        self.complete = complete

    def of(self, name: str) -> int:
        """The count of one name."""
        found = self.held.get(name)
        if found is not None:
            return found
        if self.complete:
            return 0
        if len(self.held) >= self._bound:
            self._drop_small()
        found = self.held[name] = self._read(name)
        return found

    def change(self, name: str, change: int) -> None:
        """So many more records of this name are in the queue."""
        held = self.held
        known = held.get(name)
        if known is None:
            if self.complete:
                held[name] = change
            return
        if known + change or not self.complete:
            held[name] = known + change
        else:
            # A name that has nothing in the queue takes no memory.
            del held[name]

    def _drop_small(self) -> None:
        self.held = {name: count for name, count in self.held.items() if count >= SMALL}
        self._bound = max(HELD, 2 * len(self.held))
