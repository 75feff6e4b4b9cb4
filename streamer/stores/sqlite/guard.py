"""Whether the writer may go on: the files are those that it opened, the lock is its own, and the disk takes writes."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REFUSING: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
)


LOOK_INTERVAL: Final = 0.1
"""Seconds for which a whole look counts. In between a short one, after each commit, sees what is done to the files in
other ways than by writing into them."""


class Guard:
    """What is wrong with the file as a whole. Nothing, when it is made without checks.

    Args:
        path: the file.
        checks: each returns what is wrong, in one line; None when nothing is.
        before: a short look before a transaction: whether the checks would find nothing, as far as that can be seen at
            little cost.
        after: the same after a commit. None: the checks are always asked.

    Attributes:
        trouble: why writes are refused, in one line; None when they are taken.
    """

    def __init__(
        self,
        path: Path,
        *checks: Callable[[], str | None],
        before: Callable[[], bool] | None = None,
        after: Callable[[], bool] | None = None,
    ) -> None:
        self.trouble: str | None = None
        self._path = path
        self._checks = checks
        self._before = before
        self._after = after
        self._looked_at = -math.inf
        self._damage: str | None = None
        self._reported: str | None = None

    def closed(self, now: float) -> str | None:
        """Why nothing may be read or written now; None when it may.

        Args:
            now: seconds of a clock.
        """
        if self.trouble is None and self._before is not None:
            recent = abs(now - self._looked_at) < LOOK_INTERVAL
            if recent and self._before():
                return None
        self._looked_at = now
        return self._look()

    def closed_since(self) -> str | None:
        """Why what has just been committed is not stored; None when it is.

        What went into a file that is gone is not: this is asked after each commit, before it is acknowledged.
        """
        if self.trouble is None and self._after is not None and self._after():
            return None
        return self._look()

    def _look(self) -> str | None:
        found = self._damage
        for check in self._checks:
            found = found or check()
        if found is not None:
            self.trouble = found
        return found

    def failed(self, problem: Exception) -> None:
        """A transaction failed with this."""
        # Only what SQLite itself refused has a code.
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in _DAMAGED:
            self.trouble = self._damage = (
                f"{self._path} is damaged ({problem}): nothing is stored any more; stop the service, "
                "put a backup in its place without the old -wal and -shm, and start it again"
            )
        elif code in _REFUSING:
            self.trouble = f"{self._path} cannot be written ({problem}): it is tried again all the time"

    def written(self) -> None:
        """A transaction has been written."""
        self.trouble = None

    def news(self) -> tuple[str | None] | None:
        """The trouble that there is now, if that is another than when this was last asked."""
        if self.trouble == self._reported:
            return None
        self._reported = self.trouble
        return (self.trouble,)
