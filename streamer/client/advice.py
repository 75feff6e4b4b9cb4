"""What to do when the service wants no further connection, in words for the error that tells of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from streamer.client.machine.state import TOKEN_EXPIRED, TOO_LARGE, UNAUTHORIZED, final_close

_UNREADABLE: Final = "client and service do not speak alike: run the same version of both, without a proxy that meddles"

_CLOSED: Final[Mapping[int, str]] = MappingProxyType(
    {
        1003: _UNREADABLE,
        1007: _UNREADABLE,
        1008: "the service takes what was sent for abuse, its log says why; mend that before connecting again",
        TOO_LARGE: "a message was too large: send less, or raise max_message_size of the side that would not take it",
        TOKEN_EXPIRED: (
            "the token has run out: give the client a function for token= that brings a fresh one each time "
            "(if it has one, that brings old tokens, or the clocks differ)"
        ),
        3501: "an operator of the service ended it; ask them before connecting again",
    }
)
_REFUSED: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "the service did not understand the handshake; see the address and the headers given to the client",
        403: "connecting again does not help; the service's settings say which origins, tenants and users it lets in",
        404: "see the path in the address; the service's own is /ws unless its server.path says otherwise",
    }
)


def on_close(code: int) -> str:
    """What to do after such a close; empty when connecting again is what helps."""
    unknown = "the service asks not to connect again; its words and its log say why" if final_close(code) else ""
    return _CLOSED.get(code, unknown)


def on_refusal(status: int | None, *, token: bool, renewable: bool) -> str:
    """What to do after a refused handshake; empty when trying again may help.

    Args:
        status: with which the service refused.
        token: whether one was sent.
        renewable: whether a function brought it.
    """
    if status != UNAUTHORIZED:
        return _REFUSED.get(status or 0, "")
    if renewable:
        return "two fresh tokens were refused: compare issuer, audience, key and clock with the service's auth settings"
    if token:
        return "the token is wrong or has run out: give another, or a function for token= that brings fresh ones"
    return "the service wants to know who asks: give the client a token="
