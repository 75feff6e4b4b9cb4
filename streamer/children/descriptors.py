"""The limit of open descriptors: the service takes all that it may have, its children keep what it was started with."""

from __future__ import annotations

import resource
from typing import Final

_ENOUGH: Final = 1 << 20
"""Where the hard limit is unlimited; no service needs more, and some systems refuse more."""

_started_with: list[int] = []


def raise_limit() -> int:
    """Raises this process's limit to the most that it may have, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _started_with:
        _started_with.append(soft)
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
