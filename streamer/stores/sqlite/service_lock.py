"""Allows one service per file: a lock on `.lock`, which names its process, and one on the database, which cannot be
deleted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Final

from streamer.core.errors import StoreInUse, StoreUnavailable
from streamer.stores.sqlite.files import create_private

LOCK_WAIT: Final = 3.0
"""Seconds to wait for the lock: the writer of a killed service needs some time to notice."""

_OPEN_FILE_LOCK: Final = getattr(fcntl, "F_OFD_SETLK", None)
"""Locks that belong to an open file and not to a process (Linux). SQLite's own locks on the same file do not affect
them.
"""
_PLACE: Final = 1 << 62
"""The locked byte, far from those that SQLite locks (at 2**30) and from any content."""


class ServiceLock:
    """The exclusive right of one service to use the file, until `close` or the end of the process.

    Args:
        path: the database file, which is created if it does not exist.
        owner_pid: of the service, for the message to another one.
        wait: seconds to wait for another service to end.

    Raises:
        StoreInUse: another service uses the file.
        StoreUnavailable: a file cannot be created.
    """

    def __init__(self, path: Path, owner_pid: int, wait: float = LOCK_WAIT) -> None:
        self._path = path
        self._file = f"{path}.lock"
        self._owner = owner_pid
        deadline = time.monotonic() + wait
        self._named = self._take(".lock", deadline)
        self._held = _identity(self._named)
        try:
            # Another running service may have lost its `.lock`.
            self._database = self._take("", deadline)
        except StoreInUse:
            os.close(self._named)
            raise

    def problem(self) -> str | None:
        """Creates a deleted `.lock` again. Returns why this service must not write; None when it may."""
        try:
            found = os.stat(self._file)  # noqa: PTH116 - a text: this is looked at twice in each transaction
            if (found.st_dev, found.st_ino) == self._held:
                return None
        except FileNotFoundError:
            pass
        try:
            taken = self._take(".lock", 0.0)
        except StoreUnavailable as problem:
            return str(problem)
        except StoreInUse:
            return f"{self._path}.lock was deleted, and another service has opened the file since: stop one of the two"
        os.close(self._named)
        self._named = taken
        self._held = _identity(taken)
        return None

    def close(self) -> None:
        """Releases the locks."""
        os.close(self._named)
        os.close(self._database)

    def _take(self, end: str, deadline: float) -> int:
        descriptor = create_private(self._path, end)
        while not _locked(descriptor, named=bool(end)):
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() if end else ""
            os.close(descriptor)
            by = f" (process {holder})" if holder else ""
            raise StoreInUse(
                f"{self._path} is in use by another service{by}: stop it, or set another backends.store.path"
            )
        if end:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(self._owner).encode(), 0)
        return descriptor


def _locked(descriptor: int, *, named: bool) -> bool:
    try:
        if named:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif _OPEN_FILE_LOCK is not None:
            wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _PLACE, 1, 0)
            fcntl.fcntl(descriptor, _OPEN_FILE_LOCK, wanted)
    except OSError as problem:
        if problem.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if named or problem.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOLCK):
            raise
    return True


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino)
