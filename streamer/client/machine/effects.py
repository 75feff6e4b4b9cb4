"""What a client is to do, in this order."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from streamer.client.machine.state import Phase


class Dial(Struct, frozen=True, gc=False, tag_field="effect", tag="dial"):
    """Bring a token and try to connect; then `Opened`, `Failed` or `Ended`."""

    epoch: int


class HangUp(Struct, frozen=True, gc=False, tag_field="effect", tag="hang_up"):
    """End the try or the connection; what it says from now on does not count."""

    polite: bool
    """Whether with a close message."""


class Wait(Struct, frozen=True, gc=False, tag_field="effect", tag="wait"):
    """Report the delay and let it pass; then `Due`."""

    epoch: int
    longest: float
    """The delay is drawn evenly from 0 to this."""
    tries: int
    """How many tries there have been without a connection that lasted, with the next one."""
    code: int | None = None
    """How the last connection or try ended."""
    reason: str = ""


class Report(Struct, frozen=True, gc=False, tag_field="effect", tag="report"):
    """Report the phase to the program."""

    phase: Phase
    code: int | None = None
    reason: str = ""


class Tried(Struct, frozen=True, gc=False, tag_field="effect", tag="tried"):
    """`connect()` returns, or raises what the event says or how the client was closed."""

    failed: bool


class Reopened(Struct, frozen=True, gc=False, tag_field="effect", tag="reopened"):
    """The connection is open again, and what waits was sent."""


class Send(Struct, frozen=True, gc=False, tag_field="effect", tag="send"):
    """Send a request's message."""

    id: str


class Ask(Struct, frozen=True, gc=False, tag_field="effect", tag="ask"):
    """Send `streamer.resume` for a stored request."""

    id: str
    question: str
    """The id of the message."""
    seq: int
    """The newest message that is known; -1 for none."""


class Deliver(Struct, frozen=True, gc=False, tag_field="effect", tag="deliver"):
    """Give the message that has come to the request."""

    id: str


class Confirm(Struct, frozen=True, gc=False, tag_field="effect", tag="confirm"):
    """The request turned out to be stored, though no message of it has come."""

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
    """Why a request ends without an answer of its own."""

    LOST = "lost"
    """The connection ended, with `code` and `reason`."""
    REFUSED = "refused"
    """The try failed for good, as the event says."""
    NOT_ANSWERED = "not_answered"
    """Connection after connection ended, `times` in all and the last one with `code` and `reason`."""
    ANSWER_TOO_LARGE = "answer_too_large"
    """A message of the service is over the client's limit."""
    REQUEST_TOO_LARGE = "request_too_large"
    """Its message, of `size`, is over the service's limit."""
    ERROR = "error"
    """The error of the message that has come is meant for it."""
    FUNCTION_FAILED = "function_failed"
    """The gateway's function has failed each of `times`, at last with `reason`."""


class End(Struct, frozen=True, gc=False, tag_field="effect", tag="end"):
    """The request fails."""

    id: str
    why: Why
    code: int | None = None
    reason: str = ""
    times: int = 0
    size: int = 0
    stored: bool = False
    """The service had acknowledged it; then it goes on."""


class Forget(Struct, frozen=True, gc=False, tag_field="effect", tag="forget"):
    """The request that nobody waits for is no longer followed."""

    id: str
    sent: bool
    """Whether the service may have it; then one that is to be cancelled is cancelled now."""


class Unclear(Struct, frozen=True, gc=False, tag_field="effect", tag="unclear"):
    """The error that has come may be meant for any of so many requests."""

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
