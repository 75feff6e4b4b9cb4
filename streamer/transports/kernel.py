"""What the kernel can say about a connection."""

from __future__ import annotations

import fcntl
import sys
import termios
from typing import Any, Final

_FEW: Final = 64 * 1024


def unacknowledged(stream: Any) -> int:
    """Bytes that the kernel has sent or is to send, and the client's has not acknowledged.

    0 where it cannot say, and where they are few: the client's kernel acknowledges those whatever the client does.
    """
    try:
        answer = fcntl.ioctl(stream.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # a socket that is closed has no number
        return 0
    size = int.from_bytes(answer, sys.byteorder)
    return size if size > _FEW else 0
