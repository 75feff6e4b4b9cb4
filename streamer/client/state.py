"""What a client reports of its connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Name = Literal["waiting", "connecting", "open", "idle", "closed"]


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What `on_state_change` is called with.

    Attributes:
        name: `waiting` (the next try is due after `delay`), `connecting`, `open`, `idle` (the connection has ended and
            nothing waits for another one) or `closed` (ended for good).
        tries: `waiting`: how many tries there have been without a connection that lasted, with this one.
        delay: `waiting`: seconds until that try.
        code: `idle` and `closed`: the close code, where there was one.
        reason: why the last connection or try ended, as far as it is known; may be empty.
    """

    name: Name
    tries: int = 0
    delay: float = 0.0
    code: int | None = None
    reason: str = ""
