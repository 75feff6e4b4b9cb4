"""The limit of open descriptors: the service takes all that it may have, its children keep what it was started with."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from typing import Final

_ENOUGH: Final = 1 << 20
"""Where the hard limit is unlimited; no service needs more, and some systems refuse more."""

_SPARE: Final = 16
"""How many the start of a process takes for a moment, and some."""

_started_with: list[int] = []


class Spare:
    """Descriptors that are open for nothing, so that another writer can be started when all others are in use."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._wanted = 0

    def hold(self, count: int = _SPARE) -> None:
        """Opens so many, or as many as there are."""
        self._wanted = count
        with contextlib.suppress(OSError):
            while len(self._held) < count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Gives them back to the system for as long as it lasts; nothing may be awaited meanwhile."""
        while self._held:
            os.close(self._held.pop())
        try:
            yield
        finally:
            self.hold(self._wanted)


SPARE: Final = Spare()


def raise_limit() -> int:
    """Raises this process's limit to the most that it may have, sets some aside for emergencies, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _started_with:
        _started_with.append(soft)
    raised = _raise(soft, hard)
    SPARE.hold()
    return raised


def _raise(soft: int, hard: int) -> int:
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def limit_of_children() -> int:
    """The limit that programs start with, as old ones read their descriptors by `select`; -1: as it is."""
    return _started_with[0] if _started_with else -1
