"""Counts the queued records of each owner, or of each share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HELD: Final = 8192
"""Number of names whose counts are kept in memory before small counts are dropped."""
SMALL: Final = 64
"""Counts below this are cheap to read again."""


class Counts:
    """Counts by name. While `complete` is true, a missing name has nothing in the queue; after that, a missing count is
    read from the file when it is needed.

    Large counts are never dropped, because reading one takes as long as counting its records: there are at most as many
    of them as the queue has records, divided by `SMALL`.

    Args:
        read: counts the records of one name in the file.

    Attributes:
        held: the known counts.
        complete: whether all counts are known.
    """

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read
        self._bound = HELD
        self.held: dict[str, int] = {}
        self.complete = True

    def clear(self, *, complete: bool) -> None:
        """Forgets everything. With `complete` the caller adds every existing count."""
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
        """Adds queued records of this name."""
        held = self.held
        known = held.get(name)
        if known is None:
            if self.complete:
                held[name] = change
            return
        if known + change or not self.complete:
            held[name] = known + change
        else:
            # A name without queued records takes no memory.
            del held[name]

    def _drop_small(self) -> None:
        self.held = {name: count for name, count in self.held.items() if count >= SMALL}
        self._bound = max(HELD, 2 * len(self.held))
