"""What to do when the service refuses further connections, for error messages. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from streamer.client.machine.state import TOKEN_EXPIRED, TOO_LARGE, UNAUTHORIZED, final_close

_UNREADABLE: Final = (
    "client and service use different protocols: run the same version of both, without a proxy that changes messages"
)

_CLOSED: Final[Mapping[int, str]] = MappingProxyType(
    {
        1003: _UNREADABLE,
        1007: _UNREADABLE,
        1008: "the service treats the client's messages as abuse, its log says why; fix that before connecting again",
        TOO_LARGE: "a message was too large: send less, or raise max_message_size of the side that refused it",
        TOKEN_EXPIRED: (
            "the token has expired: pass a function as token= that returns a fresh one each time "
            "(if there is one, it returns expired tokens, or the clocks differ)"
        ),
        3501: "an operator of the service closed the connection; ask them before connecting again",
    }
)
_REFUSED: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "the service did not understand the handshake; check the address and the headers of the client",
        403: "connecting again does not help; the service's settings define the allowed origins, tenants and users",
        404: "check the path in the address; the default path of a service is /ws (server.path)",
    }
)


def on_close(code: int) -> str:
    """What to do after such a close; empty when connecting again can help."""
    unknown = "the service asks not to connect again; see its reason and its log" if final_close(code) else ""
    return _CLOSED.get(code, unknown)


def on_refusal(status: int | None, *, token: bool, renewable: bool) -> str:
    """What to do after a refused handshake; empty when trying again may help.

    Args:
        status: the HTTP status of the refusal.
        token: whether a token was sent.
        renewable: whether a function returned it.
    """
    if status != UNAUTHORIZED:
        return _REFUSED.get(status or 0, "")
    if renewable:
        return "the service refused two fresh tokens: compare issuer, audience, key and clock with its auth settings"
    if token:
        return "the token is invalid or has expired: pass another one, or a function as token= that returns fresh ones"
    return "the service requires authentication: pass the client a token="
