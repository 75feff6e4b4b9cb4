"""Information from the kernel about a connection."""

from __future__ import annotations

import fcntl
import sys
import termios
from typing import Any, Final

_FEW: Final = 64 * 1024


def unacknowledged(stream: Any) -> int:
    """Bytes that the kernel has sent or will send, and that the client's kernel has not acknowledged.

    0 where this is unknown, and where they are few: the client's kernel acknowledges few bytes in any case.
    """
    try:
        answer = fcntl.ioctl(stream.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # A closed socket has no descriptor.
        return 0
    size = int.from_bytes(answer, sys.byteorder)
    return size if size > _FEW else 0
