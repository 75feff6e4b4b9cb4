"""The state of a client: its connection, its requests, and the limits."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from streamer.client.machine.table import Table

FIRST_DELAY: Final = 500
"""Milliseconds: the longest delay before the second attempt. It doubles with each further one."""
MOST_DOUBLINGS: Final = 30
ASK_AGAIN: Final = 1000
"""Milliseconds until a request is sent again that the service refused temporarily without a delay."""
TURN: Final = 10_000
"""Milliseconds that others wait at most for the answer to a request that is sent alone."""
MOST_BREAKS: Final = 3
"""How many connections may end while a single request is unanswered, before the request fails."""
MOST_OUTLIVED: Final = 5
"""The same if the service's process kept running, so that the network may be the cause."""
MOST_SHARED: Final = 10
"""The same for a request that was never sent alone, for resuming a stored one, and for a gateway that closed the
connections regularly, as API Gateway does after two hours.
"""
MOST_SENDS: Final = 10
"""How often a request is sent to a service whose functions fail, before the request fails."""

CLOSED_HERE: Final = (1000, "closed by this client")
GOING_AWAY: Final = 1001
"""The close code of such a gateway."""
ABNORMAL: Final = 1006
"""The close code of a connection that ended without one."""
TOO_LARGE: Final = 1009
TOKEN_EXPIRED: Final = 3500
UNAUTHORIZED: Final = 401
NO_CAUSE: Final = frozenset({1012, 1013, 3001, TOKEN_EXPIRED, 3501})
"""Close codes of a service, or a proxy, that closes connections for its own reasons."""
_FINAL_CODES: Final = frozenset({1003, 1007, 1008, TOO_LARGE})
_FINAL_STATUSES: Final = frozenset({400, UNAUTHORIZED, 403, 404})


def final_close(code: int) -> bool:
    """Whether a close code says that connecting again is useless for the request that caused it.

    1009 is final for the request that was too large. The client itself connects again for its other requests, and after
    3500 it connects once more if it can get a new token (`ended` in `ends.py`).
    """
    return 3500 <= code < 4000 or code in _FINAL_CODES  # noqa: PLR2004 - the protocol's range


def final_refusal(status: int | None) -> bool:
    """Whether an HTTP status of the handshake says that trying again is useless."""
    return status in _FINAL_STATUSES


class Phase(StrEnum):
    """The phase of the connection; see the table of the package."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"
    REFUSED = "refused"
    CLOSED = "closed"


class Interest(StrEnum):
    """Who waits for a request."""

    AWAITED = "awaited"
    """A caller waits for its end."""
    CANCELLED = "cancelled"
    """No caller waits, and the service must be asked to cancel it as soon as it may have stored it."""
    LEFT = "left"
    """No caller waits, and the request continues."""


class Options(Struct, frozen=True, gc=False):
    """The options of the program that uses the client."""

    reconnect: bool = True
    """Whether a connection that breaks is opened again."""
    renewable: bool = False
    """Whether each attempt gets a fresh token."""
    longest: float = 30_000
    """The longest delay between two attempts."""
    name: str = "ask"
    """The prefix of the ids of the client's own messages."""


class Request(Struct, frozen=True, gc=False):
    """A request that has not ended, over all connections."""

    id: str
    order: int
    """Its place among all requests."""
    size: int = 0
    """Of its message."""
    stored: bool = False
    """The service has acknowledged it: it is resumed, and not sent again."""
    resend: bool = True
    """Whether it may be sent again."""
    patient: bool = False
    """Whether it is sent again when the service refuses it temporarily."""
    interest: Interest = Interest.AWAITED
    about: str | None = None
    """The client's own message about this other request."""
    seq: int = -1
    """The number of its newest message."""
    sends: int = 0
    """How often it was sent or resumed since the service last answered."""
    sent: bool = False
    """It was sent or resumed on the current connection."""
    unanswered: bool = False
    """Sent or resumed, without an answer since."""
    breaks: int = 0
    """Connections in a row that ended while it was unanswered."""
    deaths: int = 0
    """How many of those the service's process did not survive, as far as is known."""
    outlived: int = 0
    """How many of those the process survived, with no other request unanswered."""
    alone: bool = False
    """No other request was unanswered when the last of them ended."""
    undecided: bool = False
    """Whether the process survived the last of them is not yet known."""
    refusals: int = 0
    """Connections that ended at a message that was too large, while this request was unanswered and no cause was
    found.
    """
    suspect: bool = False
    """The next connection sends it alone, to see whether it is the cause."""


class Break(Struct, frozen=True, gc=False):
    """How a connection ended."""

    code: int
    reason: str
    process: str | None = None
    """The id of the service's process, from the connection's handshake."""


class State(Struct, frozen=True):
    """Everything that the client's decisions depend on."""

    options: Options = Options()
    phase: Phase = Phase.IDLE
    epoch: int = 0
    """Increases whenever a delay, an attempt or a connection starts or ends; events of earlier ones are ignored."""
    tries: int = 0
    """Attempts since the last stable connection."""
    wanted: bool = False
    """A caller waits for the connection to send its request."""
    retried: bool = False
    """The current attempt was refused with 401, and is repeated once with a fresh token."""
    refreshed: bool = False
    """A connection ended because its token had expired, and no fresh one was accepted since."""
    reopens: bool = False
    """There was a connection before, and the program has not closed the client since."""
    opened_at: float = 0
    process: str | None = None
    """The id of the service's process, from the handshake."""
    lost: Break | None = None
    """Closed: how the connection ended."""
    last: Break | None = None
    """How the last connection ended, until the next one shows whether the process kept running."""
    requests: Table[Request] = field(default_factory=Table)
    added: int = 0
    """Number of requests so far."""
    asked: int = 0
    """Number of the client's own messages so far."""
    line: tuple[str, ...] = ()
    """Requests that are sent on this connection as soon as none must be sent alone."""
    suspect: str | None = None
    """The request that was sent alone last; it stays when its connection ends."""
    awaited: str | None = None
    """What must be answered before the queue continues: that request, or the client's own message about it."""
