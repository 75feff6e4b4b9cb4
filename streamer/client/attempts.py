"""What is known of a request's way to the service, and which request a broken connection is blamed on. Pure.

A connection says only that it ended, never because of which request. What remains is to count: a request that is alone
when connections end is the cause, or will never be answered. One that shared them with others is sent alone next.

Where the service names its process in each handshake, the next handshake tells whether a connection ended with the
process, or for the network's sake alone, which is borne for longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from streamer.client.advice import TOKEN_EXPIRED, TOO_LARGE
from streamer.client.errors import MessageTooLarge, NotAnswered
from streamer.core.errors import StreamerError

if TYPE_CHECKING:
    from streamer.client.handle import RequestHandle

MOST_BREAKS: Final = 3
"""So many connections may end while a request is alone on its way, before it is given up."""
MOST_OUTLIVED: Final = 5
"""The same where the service's process outlived them, so that the network may be to blame."""
MOST_SHARED: Final = 10
"""The same for a request that was never alone, for asking after one that the service has stored, and where a gateway
ended the connections in good order, as API Gateway does after two hours."""
GOING_AWAY: Final = 1001
"""The close code of such an end."""
ABNORMAL: Final = 1006
"""The close code of a connection that ended without one."""
_NOBODYS: Final = frozenset({1012, 1013, 3001, TOKEN_EXPIRED, 3501})
"""Close codes of a service, or a proxy, that ends connections for reasons of its own."""


@dataclass(slots=True)
class Attempts:
    """One request's way to the service, over all connections."""

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

    def begin(self) -> None:
        """It is sent, or asked after."""
        self.sent = self.unanswered = True

    def answered(self) -> None:
        """Something was heard of it."""
        self.unanswered = False
        self.undecided = False
        self.breaks = self.deaths = self.outlived = 0

    def connection_ended(self) -> None:
        """The next connection begins anew."""
        self.sent = self.unanswered = False


class Break(NamedTuple):
    """How a connection ended."""

    url: str
    code: int
    reason: str
    refused: bool = False
    """This client ended it, because a message of the service was over the client's own limit."""
    expected: bool = False
    """This client ended it for a reason of its own."""
    limit: int = 0
    """Bytes of one message that this client takes."""
    process: str | None = None
    """Of the service, as the connection's handshake named it."""


def blamed(handles: Sequence[RequestHandle], how: Break) -> list[tuple[RequestHandle, StreamerError]]:
    """The requests that end with this connection, each with its error. Counts, and marks those to be sent alone.

    Args:
        handles: all that were sent or asked after on it and have not ended.
        how: the connection ended.
    """
    if how.expected or how.code in _NOBODYS:
        return []
    if how.refused:
        return _answer_too_large(handles, how)
    unanswered = [handle for handle in handles if handle.attempts.unanswered]
    if how.code == TOO_LARGE:
        return _request_too_large(unanswered, how)
    # Where the service names its process, the next handshake tells more.
    decided = how.process is None or how.code != ABNORMAL
    for handle in unanswered:
        attempts = handle.attempts
        attempts.breaks += 1
        attempts.suspect = attempts.breaks >= MOST_BREAKS - 1
        attempts.alone = len(unanswered) == 1
        attempts.undecided = not decided
        attempts.deaths += decided
    return _given_up(unanswered, how) if decided else []


def blamed_later(
    handles: Sequence[RequestHandle], how: Break, process: str | None
) -> list[tuple[RequestHandle, StreamerError]]:
    """The same once there is another connection, and the requests are about to be sent over it.

    Args:
        handles: all that wait.
        how: the last connection ended.
        process: of the service, as the handshake of the new connection names it.
    """
    undecided = [handle for handle in handles if handle.attempts.undecided]
    for handle in undecided:
        attempts = handle.attempts
        attempts.undecided = False
        if process != how.process:
            attempts.deaths += 1
        elif attempts.alone:
            attempts.outlived += 1
    return _given_up(undecided, how)


def _given_up(handles: Sequence[RequestHandle], how: Break) -> list[tuple[RequestHandle, StreamerError]]:
    verdicts: list[tuple[RequestHandle, StreamerError]] = []
    for handle in handles:
        attempts = handle.attempts
        stored = handle.text is None
        most = MOST_BREAKS if attempts.alone and not stored and how.code != GOING_AWAY else MOST_SHARED
        if attempts.deaths >= most or attempts.outlived >= (MOST_SHARED if stored else MOST_OUTLIVED):
            error = NotAnswered(
                how.url, how.code, how.reason, request_id=handle.id, times=attempts.breaks, stored=stored
            )
            verdicts.append((handle, error))
    return verdicts


def _answer_too_large(handles: Sequence[RequestHandle], how: Break) -> list[tuple[RequestHandle, StreamerError]]:
    """The library closed the connection at the head of a message, before anything told which request it was for."""
    for handle in handles:
        handle.attempts.refusals += 1
        handle.attempts.suspect = True
    guilty = [handle for handle in handles if len(handles) == 1 or handle.attempts.refusals >= MOST_SHARED]
    # A stored one is asked after within moments, so that it would have been found.
    guilty = [handle for handle in guilty if handle.text is not None] or guilty
    return [(handle, MessageTooLarge(how.url, how.reason, request_id=handle.id, limit=how.limit)) for handle in guilty]


def _request_too_large(handles: Sequence[RequestHandle], how: Break) -> list[tuple[RequestHandle, StreamerError]]:
    """The service closes at the first message that is over its limit, so the largest one certainly is."""
    if not handles:
        return []
    largest = max(handles, key=lambda handle: len(handle.text or b""))
    size = len(largest.text or b"")
    return [(largest, MessageTooLarge(how.url, how.reason, request_id=largest.id, sent=size))]
