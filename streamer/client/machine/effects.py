"""What a client must do, in this order."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from streamer.client.machine.state import Phase


class Dial(Struct, frozen=True, gc=False, tag_field="effect", tag="dial"):
    """Get a token and try to connect; then `Opened`, `Failed` or `Ended`."""

    epoch: int


class HangUp(Struct, frozen=True, gc=False, tag_field="effect", tag="hang_up"):
    """End the attempt or the connection; ignore its later events."""

    polite: bool
    """Whether with a close message."""


class Wait(Struct, frozen=True, gc=False, tag_field="effect", tag="wait"):
    """Report the delay and wait for it; then `Due`."""

    epoch: int
    longest: float
    """The delay is drawn evenly between 0 and this."""
    tries: int
    """How many attempts there have been since the last stable connection, including the next one."""
    code: int | None = None
    """Why the last connection or attempt ended."""
    reason: str = ""


class Report(Struct, frozen=True, gc=False, tag_field="effect", tag="report"):
    """Report the phase to the program."""

    phase: Phase
    code: int | None = None
    reason: str = ""


class Tried(Struct, frozen=True, gc=False, tag_field="effect", tag="tried"):
    """`connect()` returns, or raises the error of the event or of the close."""

    failed: bool


class Reopened(Struct, frozen=True, gc=False, tag_field="effect", tag="reopened"):
    """The connection is open again, and waiting requests were sent."""


class Send(Struct, frozen=True, gc=False, tag_field="effect", tag="send"):
    """Send a request's message."""

    id: str


class Ask(Struct, frozen=True, gc=False, tag_field="effect", tag="ask"):
    """Send `streamer.resume` for a stored request."""

    id: str
    question: str
    """The id of the message."""
    seq: int
    """The number of the newest received message; -1 for none."""


class Deliver(Struct, frozen=True, gc=False, tag_field="effect", tag="deliver"):
    """Pass the received message to the request."""

    id: str


class Confirm(Struct, frozen=True, gc=False, tag_field="effect", tag="confirm"):
    """The request turned out to be stored, though no message about it has arrived."""

    id: str


class Later(Struct, frozen=True, gc=False, tag_field="effect", tag="later"):
    """`Again` after the delay."""

    epoch: int
    id: str
    delay: float


class Turn(Struct, frozen=True, gc=False, tag_field="effect", tag="turn"):
    """`TurnOver` after the delay."""

    epoch: int
    id: str
    delay: float


class Why(StrEnum):
    """Why a request ends without its own answer."""

    LOST = "lost"
    """The connection ended, with `code` and `reason`."""
    REFUSED = "refused"
    """The attempt failed permanently, as the event says."""
    NOT_ANSWERED = "not_answered"
    """Connection after connection ended, `times` in all, the last one with `code` and `reason`."""
    ANSWER_TOO_LARGE = "answer_too_large"
    """A message of the service exceeds the client's limit."""
    REQUEST_TOO_LARGE = "request_too_large"
    """Its message, of `size`, exceeds the service's limit."""
    ERROR = "error"
    """The received error belongs to this request."""
    FUNCTION_FAILED = "function_failed"
    """The gateway's function failed `times` times in a row, the last time with `reason`."""


class End(Struct, frozen=True, gc=False, tag_field="effect", tag="end"):
    """The request fails."""

    id: str
    why: Why
    code: int | None = None
    reason: str = ""
    times: int = 0
    size: int = 0
    stored: bool = False
    """The service had acknowledged it, so it continues."""


class Forget(Struct, frozen=True, gc=False, tag_field="effect", tag="forget"):
    """The request that no caller waits for is removed."""

    id: str
    sent: bool
    """Whether the service may have it; if it must be cancelled, that happens now."""


class Unclear(Struct, frozen=True, gc=False, tag_field="effect", tag="unclear"):
    """The received error may belong to any of this many requests."""

    waiting: int


Effect = (
    Dial
    | HangUp
    | Wait
    | Report
    | Tried
    | Reopened
    | Send
    | Ask
    | Deliver
    | Confirm
    | Later
    | Turn
    | End
    | Forget
    | Unclear
)
