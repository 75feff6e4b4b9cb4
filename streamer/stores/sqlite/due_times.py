"""When the next retry is due, the next lease expires and the next request expires: read from the file once, then kept
in memory.

Without it, each claim would look these up in the file, although most claims find nothing due.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Final

TIMED: Final = "AND due_at IS NOT NULL AND status != 'PENDING'"
"""The condition of the index of records that wait for a time; a query needs it to use the index."""
_EARLIEST: Final = (
    "(SELECT due_at FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE action = ?1 AND priority = ?2 AND status = '{{}}' AND waiting = 0 {TIMED} ORDER BY due_at LIMIT 1)"
)
_NEXT: Final = f"SELECT {_EARLIEST.format('RETRYING')}, {_EARLIEST.format('PROCESSING')}"
_NEXT_EXPIRY: Final = (
    "SELECT expires_at FROM requests INDEXED BY requests_expiring "
    "WHERE expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING' ORDER BY expires_at LIMIT 1"
)

Kind = tuple[str, int]
"""Action and priority."""
Times = tuple[float | None, float | None]
"""For one kind: when the earliest retry is due, and when the earliest lease expires."""


class DueTimes:
    """Times read from the file, valid until the records change.

    Args:
        execute: runs a statement on the file.

    Attributes:
        kinds: every kind that may have records that wait for a time (RETRYING, PROCESSING).
        next_expiry: no waiting request expires before that; perhaps later.
    """

    def __init__(self, execute: Callable[..., sqlite3.Cursor]) -> None:
        self.kinds: set[Kind] = set()
        self.next_expiry = -math.inf
        self._execute = execute
        self._known: dict[Kind, Times] | None = None
        self._earliest = math.inf
        self._dropped: set[Kind] = set()

    def undo(self) -> None:
        """A transaction was rolled back: kinds without records may have some again."""
        self.reset(self.kinds | self._dropped)
        self._dropped.clear()

    def reset(self, kinds: Iterable[Kind]) -> None:
        """The file may have changed in any way, for these kinds."""
        self.kinds = set(kinds)
        self.forget()
        self.next_expiry = -math.inf

    def forget(self) -> None:
        """A retry or a lease was changed, or has ended."""
        self._known = None

    @property
    def known(self) -> bool:
        """Whether `read` need not read the file."""
        return self._known is not None

    def read(self) -> Mapping[Kind, Times]:
        """The times of each kind that has any."""
        if self._known is None:
            found = {}
            for kind in tuple(self.kinds):
                times = self._execute(_NEXT, kind).fetchone()
                if times == (None, None):
                    self.kinds.discard(kind)
                    self._dropped.add(kind)
                else:
                    found[kind] = times
            self._known = found
            self._earliest = min(
                (time for times in found.values() for time in times if time is not None), default=math.inf
            )
        return self._known

    def passed(self, now: float) -> bool:
        """Whether any of them is due."""
        self.read()
        return self._earliest <= now

    def add_retry(self, kind: Kind) -> None:
        """A request of this kind waits for its next attempt."""
        self.kinds.add(kind)
        self.forget()

    def add_lease(self, kind: Kind, until: float) -> None:
        """A request of this kind runs under a lease until then."""
        self.kinds.add(kind)
        if self._known is not None:
            retry, lease = self._known.get(kind, (None, None))
            self._known[kind] = (retry, until if lease is None else min(lease, until))
            self._earliest = min(self._earliest, until)

    def add_expiry(self, expires_at: float | None) -> None:
        """A waiting request expires then."""
        if expires_at is not None and expires_at < self.next_expiry:
            self.next_expiry = expires_at

    def read_expiry(self) -> None:
        """All expired requests were ended."""
        found = self._execute(_NEXT_EXPIRY).fetchone()
        self.next_expiry = math.inf if found is None else found[0]
