"""The files on disk: readable by their owner only, and checked for being those that were opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from streamer.core.errors import StoreUnavailable

PRIVATE: Final = 0o600
"""Requests contain whatever clients send, and the store keeps a key: nobody else may read them."""

SIDES: Final = ("-wal", "-shm", ".lock")
"""Endings of the files next to the database file."""

REPAIR: Final = (
    "nothing is stored until it is back; or stop the service, restore the right file without "
    "a -wal and -shm that belong to another file, and start it again"
)

_INDEX: Final = struct.Struct("=32x8s56xI28xI")
"""The shared index of the write-ahead log, as described in SQLite's "WAL-mode File Format": the salts, which change
each time the log is restarted, how many frames a checkpoint has copied into the database file, and how many it started
to copy.
"""
_EXTENT: Final = struct.Struct("=14xHI12x8s")
"""Of the same: the page size, how many frames of the log are valid, and the salts."""
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
"""Bytes in the log before its frames, and before the page of each frame."""


def create_private(path: Path, end: str = "") -> int:
    """A descriptor of the file, or of the file next to it with that ending, which is created with access for its owner
    only if it does not exist.

    The descriptor of the database must stay open while the process uses the file: closing it would release SQLite's own
    locks (https://www.sqlite.org/howtocorrupt.html, section 2.2).

    Raises:
        StoreUnavailable: it cannot be opened.
    """
    try:
        return os.open(f"{path}{end}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as problem:
        raise StoreUnavailable(
            f"{path} cannot be opened: the folder {path.parent} must exist and be writable ({problem.strerror})"
        ) from None


def make_private(path: Path) -> list[str]:
    """Removes other users' access to existing files. Returns a line for the log for each."""
    lines = []
    for file in (path, *(Path(f"{path}{side}") for side in SIDES)):
        with contextlib.suppress(FileNotFoundError):
            mode = file.stat().st_mode
            if not stat.S_ISREG(mode) or not mode & 0o077:
                continue
            was = stat.S_IMODE(mode)
            try:
                file.chmod(PRIVATE)
            except OSError as problem:
                lines.append(
                    f"{file} can be read by others (mode {was:04o}), and its mode cannot be changed: {problem}"
                )
            else:
                lines.append(f"{file} could be read by others (mode {was:04o}); its mode is 0600 now")
    return lines


class FileWatch:
    """Detects whether the open database is no longer the file with its name.

    SQLite continues to write to a file that was deleted, renamed or overwritten, and everything it then stores is lost.

    Args:
        path: the database, open in WAL mode and used at least once, so that all its files exist.
        save: copies the content of the log, which is open although its name is gone, into the database file.
    """

    def __init__(self, path: Path, save: Callable[[], object]) -> None:
        self._path = path
        self._save = save
        # Kept open: closing it would release SQLite's locks on this file too.
        self._index = os.open(f"{path}-shm", os.O_RDONLY | os.O_CLOEXEC)
        self._log_name = Path(f"{path}-wal")
        self._log = os.open(self._log_name, os.O_RDONLY | os.O_CLOEXEC)
        files = (path, self._log_name, Path(f"{path}-shm"))
        # Names as strings: they are used twice in each transaction, and creating a Path costs more than the check.
        self._identities = [(file, os.fspath(file), _identity(file.stat())) for file in files]
        self._main_name, self._log_text = os.fspath(path), os.fspath(self._log_name)
        self._log_size = 0
        self._header = os.pread(self._log, _LOG_HEADER, 0)
        self._seen = self._read_index()
        self._main = _content(path.stat())
        self._overwritten: Path | None = None
        self._saved = False

    def log_unchanged(self) -> bool:
        """A quick check before a transaction: the log has its name, and was neither shortened nor rewritten.

        False also when the log was restarted since; then `problem` decides.
        """
        return (
            os.access(self._log_text, os.F_OK)
            and self._log_is_no_shorter()
            and os.pread(self._log, _LOG_HEADER, 0) == self._header
        )

    def unchanged(self) -> bool:
        """A quick check after a commit: the database has its name, nobody has written into it or shortened the log.

        False also after a checkpoint; then `problem` decides.
        """
        try:
            main = os.stat(self._main_name)  # noqa: PTH116 - as above
        except OSError:
            return False
        return (
            (main.st_dev, main.st_ino) == self._identities[0][2]
            and _content(main) == self._main
            and self._log_is_no_shorter()
        )

    def _log_is_no_shorter(self) -> bool:
        # The position of its end: fstat returns it too, with much else that would have to become Python objects.
        size = os.lseek(self._log, 0, os.SEEK_END)
        shorter, self._log_size = size < self._log_size, size
        return not shorter

    def problem(self) -> str | None:
        """What happened to the files, on one line; None when they are unchanged."""
        if self._overwritten is not None:
            return self._was_overwritten()
        before = self._read_index()
        main, header = self._main, os.pread(self._log, _LOG_HEADER, 0)
        for file, name, identity in self._identities:
            try:
                found = os.stat(name)  # noqa: PTH116 - as above
            except OSError as problem:
                lost = f"{file} was deleted or moved away while it was in use ({problem.strerror}): {REPAIR}"
            else:
                lost = f"{file} was replaced by another file while it was in use: {REPAIR}"
                if (found.st_dev, found.st_ino) == identity:
                    if file is self._path:
                        main = _content(found)
                    continue
            if file is self._log_name and main == self._main:
                self._save_log()
            return lost
        if main != self._main and not self._checkpointed():
            self._overwritten = self._path
        elif not self._log_is_whole():
            self._overwritten = self._log_name
        if self._overwritten is not None:
            return self._was_overwritten()
        self._main, self._seen, self._header = main, before, header
        return None

    def _checkpointed(self) -> bool:
        """Whether SQLite, in any process, has written to the database file since the last check, or is writing now.

        Each checkpoint records in the index that it starts and how far it came. A program without SQLite, such as `cp`,
        does not.
        """
        _, copied, begun = index = self._read_index()
        return begun > copied or index != self._seen

    def _log_is_whole(self) -> bool:
        """Whether the log still starts as the index says, and has the same length.

        A process that restarts the log first records this in the index, and a frame is valid there once it has been
        written.
        """
        index = os.pread(self._index, _EXTENT.size, 0)
        page, frames, salts = _EXTENT.unpack(index)
        if not frames:
            return True
        # The page size 65536 is stored as 1.
        extent = _LOG_HEADER + frames * (_FRAME_HEADER + (page if page > 1 else 1 << 16))
        header = os.pread(self._log, _LOG_HEADER, 0)
        if header[16:24] == salts and os.fstat(self._log).st_size >= extent:
            return True
        return os.pread(self._index, _EXTENT.size, 0) != index

    def _save_log(self) -> None:
        """Acknowledged requests may be only in the log, whose name is gone."""
        if not self._saved:
            self._saved = True
            with contextlib.suppress(sqlite3.Error):
                self._save()

    def _read_index(self) -> tuple[bytes, int, int]:
        salts, copied, begun = _INDEX.unpack(os.pread(self._index, _INDEX.size, 0))
        return salts, copied, begun

    def _was_overwritten(self) -> str:
        return (
            f"{self._overwritten} was overwritten by another program while it was in use: nothing is stored now; "
            f"stop the service, restore the right file at {self._path}, delete its -wal and -shm, and start it again"
        )


def _content(found: os.stat_result) -> tuple[int, int]:
    return (found.st_mtime_ns, found.st_size)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return (found.st_dev, found.st_ino)
