"""The events of a client."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

# They contain no containers, so that the garbage collector need not track them.


class Connect(Struct, frozen=True, gc=False, tag_field="event", tag="connect"):
    """The program calls `connect()`."""


class Withdraw(Struct, frozen=True, gc=False, tag_field="event", tag="withdraw"):
    """The caller of `connect()` no longer waits."""


class Close(Struct, frozen=True, gc=False, tag_field="event", tag="close"):
    """The program closes the client."""


class Wanted(Struct, frozen=True, gc=False, tag_field="event", tag="wanted"):
    """A caller waits for the connection."""


class Submitted(Struct, frozen=True, gc=False, tag_field="event", tag="submitted"):
    """A new request; the fields are those of `Request`."""

    id: str
    size: int = 0
    stored: bool = False
    resend: bool = True
    patient: bool = False


class Adopted(Struct, frozen=True, gc=False, tag_field="event", tag="adopted"):
    """A stored request that the service already reports on over this connection."""

    id: str


class Abandoned(Struct, frozen=True, gc=False, tag_field="event", tag="abandoned"):
    """No caller waits for a request any longer."""

    id: str
    cancel: bool = False
    """Whether to ask the service to cancel it."""


class Due(Struct, frozen=True, gc=False, tag_field="event", tag="due"):
    """The delay before an attempt is over."""

    epoch: int


class Opened(Struct, frozen=True, gc=False, tag_field="event", tag="opened"):
    """The connection is open."""

    epoch: int
    now: float = 0
    process: str | None = None
    """The id of the service's process, if the handshake contains it."""


class Failed(Struct, frozen=True, gc=False, tag_field="event", tag="failed"):
    """The attempt has failed."""

    epoch: int
    reason: str = ""
    code: int | None = None
    status: int | None = None
    """The HTTP status with which the handshake was refused."""
    final: bool = False
    """Whether another attempt is useless, whatever the status."""


class Ended(Struct, frozen=True, gc=False, tag_field="event", tag="ended"):
    """The connection has ended, possibly before it was known to be open."""

    epoch: int
    code: int
    reason: str = ""
    now: float = 0
    refused: bool = False
    """This client ended it, because a message of the service exceeded the client's own limit."""


class Kind(StrEnum):
    """What a message means for its request."""

    ACKNOWLEDGED = "acknowledged"
    PROGRESS = "progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BUSY = "busy"
    """A temporary failure: the service is overloaded, or about to stop."""
    OTHER = "other"


class Message(Struct, frozen=True, gc=False, tag_field="event", tag="message"):
    """A message of the service about a request."""

    id: str
    kind: Kind
    seq: int | None = None
    reconnect: bool = False
    """The next connection leads to a service that may accept it."""
    delay: float | None = None
    """How long the service asks the client to wait."""


class Unaddressed(Struct, frozen=True, gc=False, tag_field="event", tag="unaddressed"):
    """An error of the service, or of the gateway in front of it, that names no request."""

    now: float = 0
    reason: str = ""
    """From a gateway whose function has failed."""
    gateway: bool = False


class TooLarge(Struct, frozen=True, gc=False, tag_field="event", tag="too_large"):
    """A message for a request exceeds the client's own limit, and was not read."""

    id: str


class TurnOver(Struct, frozen=True, gc=False, tag_field="event", tag="turn_over"):
    """The others have waited long enough for a request that was sent alone."""

    epoch: int
    id: str


class Again(Struct, frozen=True, gc=False, tag_field="event", tag="again"):
    """A request that was refused temporarily must be sent again."""

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
