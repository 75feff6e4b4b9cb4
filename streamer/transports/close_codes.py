"""Close codes (RFC 6455, section 7.4, and the service's own) and their reasons.

Clients decide by the code whether to connect again, in `client/machine/state.py` and `client/js/src/state.js`: not
after a code from 3500 to 3999, nor after one that is listed there in `_FINAL_CODES` (those that the client's own
messages cause); but after every other code, including those from 4000. Two of the final codes are exceptions: after
1009 the client connects again, and only the request that was too large fails; after 3500 it connects once if it can get
a new token. `docs/reference/messages.md` lists the codes.
"""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
BINARY: Final = 1003
INVALID_TEXT: Final = 1007
POLICY: Final = 1008
TOO_LARGE: Final = 1009
INTERNAL_ERROR: Final = 1011
SHUTDOWN: Final = 3001
SLOW_CONSUMER: Final = 3008
TOKEN_EXPIRED: Final = 3500

SENT: Final = frozenset(
    {
        NORMAL,
        GOING_AWAY,
        PROTOCOL_ERROR,
        BINARY,
        INVALID_TEXT,
        POLICY,
        TOO_LARGE,
        INTERNAL_ERROR,
        SHUTDOWN,
        SLOW_CONSUMER,
        TOKEN_EXPIRED,
    }
)
"""All of them. The metrics of closed connections have a label for each."""

MAX_REASON: Final = 123
"""Bytes: a control frame has at most 125, and the code needs two."""

_REGISTERED: Final = frozenset({*range(1000, 1004), *range(1007, 1015)})
_FREE: Final = range(3000, 5000)


def may_be_sent(code: int) -> bool:
    """Whether a close frame may contain the code (section 7.4.2); some codes are only for local reports."""
    return code in _REGISTERED or code in _FREE


def answer_to(payload: bytes) -> int:
    """The code that answers a client's close frame: the client's own; 1000 if it has none, 1002 if it may not be
    sent.
    """
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2])
    return code if may_be_sent(code) else PROTOCOL_ERROR


def reason_bytes(reason: str) -> bytes:
    """The reason in UTF-8, truncated to fit a close frame without breaking a character."""
    encoded = reason.encode(errors="replace")
    if len(encoded) <= MAX_REASON:
        return encoded
    return encoded[:MAX_REASON].decode(errors="ignore").encode()
