"""What a process saves whose SQLite connections are each used by one thread: SQLite's own locks around every call.

They are a tenth of what the writer process costs.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import gc
from typing import Final

_OK: Final = 0
_MULTITHREAD: Final = 2
"""SQLITE_CONFIG_MULTITHREAD: each connection is used by one thread at a time (sqlite.org/threadsafe.html)."""
_MEMSTATUS: Final = 9
"""SQLITE_CONFIG_MEMSTATUS: whether SQLite counts the memory that it takes, under a lock."""
_YOUNG: Final = 20_000
"""Objects that are made, and not freed, between two runs of the garbage collector: the writer leaves hardly any."""


def use_no_locks() -> bool:
    """Configures SQLite for this process. Call it before the first connection is opened.

    Returns whether it took effect. It does not where Python's module contains its own SQLite and hides it, or where a
    connection is open: SQLite then locks as it usually does.
    """
    library = ctypes.CDLL(_sqlite3.__file__)
    try:
        shut_down, configure, start = library.sqlite3_shutdown, library.sqlite3_config, library.sqlite3_initialize
    except AttributeError:
        return False
    # Python has started the library already, and what has started takes no configuration.
    shut_down()
    try:
        return bool(configure(_MULTITHREAD) == _OK and configure(_MEMSTATUS, 0) == _OK)
    finally:
        start()


def collect_rarely() -> None:
    """What has been loaded lives as long as the process: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
