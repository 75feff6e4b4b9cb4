"""The state of the connection, as reported to the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Name = Literal["waiting", "connecting", "open", "idle", "closed"]


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The argument of `on_state_change`.

    Attributes:
        name: `waiting` (the next try is due after `delay`), `connecting`, `open`, `idle` (the connection has ended and
            nothing waits for another one) or `closed` (ended permanently).
        tries: `waiting`: how many tries there have been since the last stable connection, including the next one.
        delay: `waiting`: seconds until that try.
        code: `idle` and `closed`: the close code, if there was one.
        reason: why the last connection or try ended, if known; may be empty.
    """

    name: Name
    tries: int = 0
    delay: float = 0.0
    code: int | None = None
    reason: str = ""
