"""Checks whether the writer may continue: the files are those that it opened, the lock is its own, and the disk accepts
writes.
"""

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
"""Seconds for which a full check is valid. In between, a quick check after each commit detects all changes except
writes into the files.
"""


class Guard:
    """Reports problems with the file as a whole. Without checks it reports none.

    Args:
        path: the file.
        checks: each returns a problem on one line, or None.
        before: a quick check before a transaction: whether the full checks would probably find nothing.
        after: the same after a commit. None: the full checks always run.

    Attributes:
        trouble: why writes are refused, on one line; None when they are accepted.
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
        """Why the last commit is not durable; None when it is.

        A commit to a deleted file is not durable, so this is called after each commit, before it is acknowledged.
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
        """A transaction failed with this exception."""
        # Only errors of SQLite itself have a code.
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if code in _DAMAGED:
            self.trouble = self._damage = (
                f"{self._path} is damaged ({problem}): nothing is stored any longer; stop the service, "
                "restore a backup without the old -wal and -shm, and start it again"
            )
        elif code in _REFUSING:
            self.trouble = f"{self._path} cannot be written ({problem}); the service keeps trying"

    def written(self) -> None:
        """A transaction has been written."""
        self.trouble = None

    def news(self) -> tuple[str | None] | None:
        """The current problem, if it is another one than at the last call."""
        if self.trouble == self._reported:
            return None
        self._reported = self.trouble
        return (self.trouble,)
