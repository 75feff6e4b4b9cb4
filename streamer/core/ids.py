"""Ids that sort by creation time."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Final

MAX_ID_LENGTH: Final = 128
"""Maximum characters of the request id that a client chooses."""
PROCESS_HEADER: Final = "Streamer-Process"
"""The header of the handshake's answer with a random id of the service's process. After a broken connection, a client
uses it to see whether the process has restarted.
"""

_process = os.urandom(6).hex()
_counter = count(int.from_bytes(os.urandom(2)))


def _renew() -> None:
    global _process  # noqa: PLW0603 - a forked child must not repeat its parent's ids
    _process = os.urandom(6).hex()


os.register_at_fork(after_in_child=_renew)


def new_id(prefix: str) -> str:
    """`prefix`, milliseconds, 48 random bits of the process and a counter, all in hexadecimal.

    Unique without a system call per id: two ids of one process differ by the counter, those of two processes by their
    random part. It is not a secret: do not use it where guessing must be hard.
    """
    return f"{prefix}{time.time_ns() // 1_000_000:011x}{_process}{next(_counter) & 0xFFFFFF:06x}"
