"""What the client knows of its connection and of its requests, and the limits that it keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from streamer.client.machine.table import Table

FIRST_DELAY: Final = 500
"""Milliseconds: the longest delay before the second try. It doubles with each further one."""
MOST_DOUBLINGS: Final = 30
ASK_AGAIN: Final = 1000
"""Milliseconds until a request is sent once more that the service has refused for now without saying how long."""
TURN: Final = 10_000
"""Milliseconds that others wait at most for the answer to a request that is sent alone."""
MOST_BREAKS: Final = 3
"""Connections that may end while a request is alone on its way, before it is given up."""
MOST_OUTLIVED: Final = 5
"""The same where the service's process outlived them, so that the network may be to blame."""
MOST_SHARED: Final = 10
"""The same for a request that was never alone, for asking after one that the service has stored, and where a gateway
ended the connections in good order, as API Gateway does after two hours."""
MOST_SENDS: Final = 10
"""How often a request is sent to a service whose functions fail, before it fails itself."""

CLOSED_HERE: Final = (1000, "closed by this client")
GOING_AWAY: Final = 1001
"""The close code of such a gateway."""
ABNORMAL: Final = 1006
"""The close code of a connection that ended without one."""
TOO_LARGE: Final = 1009
TOKEN_EXPIRED: Final = 3500
UNAUTHORIZED: Final = 401
NO_CAUSE: Final = frozenset({1012, 1013, 3001, TOKEN_EXPIRED, 3501})
"""Close codes of a service, or a proxy, that ends connections for reasons of its own."""
_FINAL_CODES: Final = frozenset({1003, 1007, 1008, TOO_LARGE})
_FINAL_STATUSES: Final = frozenset({400, UNAUTHORIZED, 403, 404})


def final_close(code: int) -> bool:
    """Whether a close code says that connecting again is no use."""
    return 3500 <= code < 4000 or code in _FINAL_CODES  # noqa: PLR2004 - the protocol's range


def final_refusal(status: int | None) -> bool:
    """Whether an HTTP status of the handshake says that trying again is no use."""
    return status in _FINAL_STATUSES


class Phase(StrEnum):
    """Where the connection is; see the table of the package."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"
    REFUSED = "refused"
    CLOSED = "closed"


class Interest(StrEnum):
    """Who cares for a request."""

    AWAITED = "awaited"
    """Somebody waits for its end."""
    CANCELLED = "cancelled"
    """Nobody does, and the service is to be asked to cancel it as soon as it may have stored it."""
    LEFT = "left"
    """Nobody does, and it goes on."""


class Options(Struct, frozen=True, gc=False):
    """What the program that uses the client has chosen."""

    reconnect: bool = True
    """Whether a connection that breaks is opened again."""
    renewable: bool = False
    """Whether each try brings a fresh token."""
    longest: float = 30_000
    """The longest delay between two tries."""
    name: str = "ask"
    """What the ids of the client's own questions begin with."""


class Request(Struct, frozen=True, gc=False):
    """A request that has not ended, over all connections."""

    id: str
    order: int
    """Its place among all requests."""
    size: int = 0
    """Of its message."""
    stored: bool = False
    """The service has acknowledged it: it is asked after, and not sent again."""
    resend: bool = True
    """Whether it may be sent again."""
    patient: bool = False
    """Whether it is sent again when the service refuses it for now."""
    interest: Interest = Interest.AWAITED
    about: str | None = None
    """A question that the client itself asks about this other request."""
    seq: int = -1
    """The number of its newest message."""
    sends: int = 0
    """How often it was sent, or asked after, since the service said anything about it."""
    sent: bool = False
    """It was sent, or asked after, on the present connection."""
    unanswered: bool = False
    """And nothing has been heard of it since."""
    breaks: int = 0
    """Connections in a row that ended while it was unanswered."""
    deaths: int = 0
    """Of those the ones that the service's process did not outlive, as far as is known."""
    outlived: int = 0
    """Of those the ones that the process outlived, and on which nothing else was unanswered."""
    alone: bool = False
    """Nothing else was unanswered when the last of them ended."""
    undecided: bool = False
    """Whether the process outlived the last of them is still to be seen."""
    refusals: int = 0
    """Connections that ended at a message that was too large, while it had not ended, and no cause was found."""
    suspect: bool = False
    """The next connection sends it alone, to see whether it is the cause."""


class Break(Struct, frozen=True, gc=False):
    """How a connection ended."""

    code: int
    reason: str
    process: str | None = None
    """Of the service, as the connection's handshake named it."""


class State(Struct, frozen=True):
    """Everything that the client decides by."""

    options: Options = Options()
    phase: Phase = Phase.IDLE
    epoch: int = 0
    """Rises whenever a delay, a try or a connection begins or ends; what belongs to an earlier one is ignored."""
    tries: int = 0
    """Tries without a connection that lasted."""
    wanted: bool = False
    """A caller waits for the connection to send its request."""
    retried: bool = False
    """The present try was refused with 401, and is made once more with a fresh token."""
    refreshed: bool = False
    """A connection ended because its token had expired, and no fresh one has been of use since."""
    reopens: bool = False
    """There was a connection before, and the program has not closed the client since."""
    opened_at: float = 0
    process: str | None = None
    """Of the service, as the handshake named it."""
    lost: Break | None = None
    """Closed: how the connection ended."""
    last: Break | None = None
    """How the last connection ended, until the next one shows whether the process outlived it."""
    requests: Table[Request] = field(default_factory=Table)
    added: int = 0
    """How many requests there have been."""
    asked: int = 0
    """How many questions there have been."""
    line: tuple[str, ...] = ()
    """Requests that are sent on this connection as soon as none is to be alone."""
    suspect: str | None = None
    """The request that was sent alone last; it stays when its connection ends."""
    awaited: str | None = None
    """What must be answered before the line moves on: that request, or the question about it."""
