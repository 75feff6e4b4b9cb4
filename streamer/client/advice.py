"""What to do when the service wants no further connection, in words for the error that tells of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TOKEN_EXPIRED: Final = 3500
"""The close code of a connection whose token has run out: a fresh one is what helps."""
TOO_LARGE: Final = 1009
"""The close code of a connection over which a message came that was too large for the side that closed it."""
_UNWELCOME: Final = range(3500, 4000)
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


def final_close(code: int) -> bool:
    """Whether a close code says that connecting again is no use."""
    return code in _UNWELCOME or code in _CLOSED


def final_refusal(status: int | None) -> bool:
    """Whether an HTTP status of the handshake says that trying again is no use."""
    return status == 401 or status in _REFUSED  # noqa: PLR2004 - Unauthorized


def on_close(code: int) -> str:
    """What to do after such a close; empty when connecting again is what helps."""
    if code in _UNWELCOME:
        return _CLOSED.get(code, "the service asks not to connect again; its words and its log say why")
    return _CLOSED.get(code, "")


def on_refusal(status: int | None, *, token: bool, renewable: bool) -> str:
    """What to do after a refused handshake; empty when trying again may help.

    Args:
        status: with which the service refused.
        token: whether one was sent.
        renewable: whether a function brought it.
    """
    if status != 401:  # noqa: PLR2004 - Unauthorized
        return _REFUSED.get(status or 0, "")
    if renewable:
        return "two fresh tokens were refused: compare issuer, audience, key and clock with the service's auth settings"
    if token:
        return "the token is wrong or has run out: give another, or a function for token= that brings fresh ones"
    return "the service wants to know who asks: give the client a token="
