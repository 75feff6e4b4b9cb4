"""The limit of open descriptors: the service raises its own to the maximum, and its children get the original one."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from typing import Final

_ENOUGH: Final = 1 << 20
"""The limit when the hard limit is unlimited; no service needs more, and some systems refuse more."""

_SPARE: Final = 16
"""How many descriptors starting a process needs temporarily, plus some."""

_started_with: list[int] = []


class Spare:
    """Unused open descriptors, kept so that another writer can be started when all others are in use."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._wanted = 0

    def hold(self, count: int = _SPARE) -> None:
        """Opens this many, or as many as possible."""
        self._wanted = count
        with contextlib.suppress(OSError):
            while len(self._held) < count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Releases them within this context; nothing may be awaited in it."""
        while self._held:
            os.close(self._held.pop())
        try:
            yield
        finally:
            self.hold(self._wanted)


SPARE: Final = Spare()


def raise_limit() -> int:
    """Raises this process's limit to the maximum, reserves some for emergencies, and returns the limit."""
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
    """The limit for started programs, since old ones use `select` for their descriptors; -1: do not change it."""
    return _started_with[0] if _started_with else -1
