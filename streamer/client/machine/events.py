"""What happens to a client."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

# They hold no containers, so that the garbage collector need not look at them.


class Connect(Struct, frozen=True, gc=False, tag_field="event", tag="connect"):
    """The program asks for the connection, now."""


class Withdraw(Struct, frozen=True, gc=False, tag_field="event", tag="withdraw"):
    """Nobody waits for `connect()` any more."""


class Close(Struct, frozen=True, gc=False, tag_field="event", tag="close"):
    """The program closes the client."""


class Wanted(Struct, frozen=True, gc=False, tag_field="event", tag="wanted"):
    """A caller waits for the connection."""


class Submitted(Struct, frozen=True, gc=False, tag_field="event", tag="submitted"):
    """A request of a new id; the fields are those of `Request`."""

    id: str
    size: int = 0
    stored: bool = False
    resend: bool = True
    patient: bool = False


class Adopted(Struct, frozen=True, gc=False, tag_field="event", tag="adopted"):
    """A stored request that the service already reports on over this connection."""

    id: str


class Abandoned(Struct, frozen=True, gc=False, tag_field="event", tag="abandoned"):
    """Nobody waits for a request any more."""

    id: str
    cancel: bool = False
    """Whether the service is to be asked to cancel it."""


class Due(Struct, frozen=True, gc=False, tag_field="event", tag="due"):
    """The delay before a try is over."""

    epoch: int


class Opened(Struct, frozen=True, gc=False, tag_field="event", tag="opened"):
    """The connection is open."""

    epoch: int
    now: float = 0
    process: str | None = None
    """Of the service, where the handshake names it."""


class Failed(Struct, frozen=True, gc=False, tag_field="event", tag="failed"):
    """The try has failed."""

    epoch: int
    reason: str = ""
    code: int | None = None
    status: int | None = None
    """The HTTP status with which the handshake was refused."""
    final: bool = False
    """Whether another try is of no use, whatever the status."""


class Ended(Struct, frozen=True, gc=False, tag_field="event", tag="ended"):
    """The connection has ended, maybe before it was known to be open."""

    epoch: int
    code: int
    reason: str = ""
    now: float = 0
    refused: bool = False
    """This client ended it, because a message of the service was over the client's own limit."""


class Kind(StrEnum):
    """What a message says of its request."""

    ACKNOWLEDGED = "acknowledged"
    PROGRESS = "progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BUSY = "busy"
    """It failed for now: the service has too much to do, or is about to stop."""
    OTHER = "other"


class Message(Struct, frozen=True, gc=False, tag_field="event", tag="message"):
    """The service said something about a request."""

    id: str
    kind: Kind
    seq: int | None = None
    reconnect: bool = False
    """The next connection leads to a service that may take it."""
    delay: float | None = None
    """How long the service asks to wait."""


class Unaddressed(Struct, frozen=True, gc=False, tag_field="event", tag="unaddressed"):
    """The service, or the gateway before it, sent an error that names no request."""

    now: float = 0
    reason: str = ""
    """Of a gateway whose function has failed."""
    gateway: bool = False


class TooLarge(Struct, frozen=True, gc=False, tag_field="event", tag="too_large"):
    """A message for a request is over the client's own limit, and was not read."""

    id: str


class TurnOver(Struct, frozen=True, gc=False, tag_field="event", tag="turn_over"):
    """The others have waited long enough for a request that was sent alone."""

    epoch: int
    id: str


class Again(Struct, frozen=True, gc=False, tag_field="event", tag="again"):
    """The time has come to send a request once more that was refused for now."""

    epoch: int
    id: str


Event = (
    Connect
    | Withdraw
    | Close
    | Wanted
    | Submitted
    | Adopted
    | Abandoned
    | Due
    | Opened
    | Failed
    | Ended
    | Message
    | Unaddressed
    | TooLarge
    | TurnOver
    | Again
)
