"""Ids that sort by the time they were made."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Final

MAX_ID_LENGTH: Final = 128
"""Characters of the id that a client gives a request."""
PROCESS_HEADER: Final = "Streamer-Process"
"""Of a handshake's answer: names the process of the service, at random. A client whose connection broke sees by it
whether the process died."""

_process = os.urandom(6).hex()
_counter = count(int.from_bytes(os.urandom(2)))


def _renew() -> None:
    global _process  # noqa: PLW0603 - a forked child must not repeat its parent's ids
    _process = os.urandom(6).hex()


os.register_at_fork(after_in_child=_renew)


def new_id(prefix: str) -> str:
    """`prefix`, milliseconds, 48 random bits of the process and a counter, all in hexadecimal.

    Unique without a system call per id: two ids of one process differ by the counter, two processes by their
    random part. It is not a secret: do not use it where guessing must be hard.
    """
    return f"{prefix}{time.time_ns() // 1_000_000:011x}{_process}{next(_counter) & 0xFFFFFF:06x}"
