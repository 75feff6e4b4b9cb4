"""Finds the token of a handshake, and creates the answers that refuse it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from streamer.core.errors import FORBIDDEN, OVERLOADED, Error
from streamer.transports.answers import Answered

SUBPROTOCOL: Final = "bearer"
"""The subprotocol before a token, for clients that cannot set headers, such as browsers; it is also the one that is
chosen.
"""
_IN_QUERY: Final = ("Authorization", "token")
_CHALLENGE: Final = (("WWW-Authenticate", "Bearer"),)
_INVALID: Final = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)

NO_TOKEN: Final = Answered(
    HTTPStatus.UNAUTHORIZED,
    "authentication is required: send a token in the header 'Authorization: Bearer <token>', as the subprotocols "
    "'bearer, <token>', or in the query as ?token=<token>\n",
    _CHALLENGE,
)
AMBIGUOUS: Final = Answered(HTTPStatus.UNAUTHORIZED, "more than one token was given\n", _INVALID)
BROKEN: Final = Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "the token could not be verified\n")
TOO_SLOW: Final = Answered(
    HTTPStatus.SERVICE_UNAVAILABLE, "the token could not be verified in time\n", (("Retry-After", "1"),)
)


def offered_subprotocols(headers: Iterable[str]) -> list[str]:
    """The offered subprotocols, from all headers `Sec-WebSocket-Protocol`."""
    return [offered.strip() for header in headers for offered in header.split(",")]


def token_of(authorization: Sequence[str], subprotocols: Sequence[str], query: str) -> str | Answered | None:
    """The token, from the first place that has one; None when there is none.

    Args:
        authorization: the values of the header of that name. Other schemes are ignored.
        subprotocols: as offered.
        query: the part after the `?`, in UTF-8.
    """
    found = [token for value in authorization if (token := _bearer(value)) is not None]
    if not found and SUBPROTOCOL in subprotocols:
        found = [*subprotocols[subprotocols.index(SUBPROTOCOL) + 1 :]]
    if not found:
        values = parse_qs(query)
        for name in _IN_QUERY:
            if given := values.get(name):
                found = [_bearer(value) or value for value in given]
                break
    if len(found) > 1:
        return AMBIGUOUS
    return found[0] if found else None


def _bearer(value: str) -> str | None:
    scheme, _, token = value.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def refusal(error: Error) -> Answered:
    """The HTTP answer to a refused token."""
    body = f"{error.message}\n"
    if error.code == FORBIDDEN:
        return Answered(HTTPStatus.FORBIDDEN, body)
    if error.code == OVERLOADED:
        return Answered(HTTPStatus.SERVICE_UNAVAILABLE, body, (("Retry-After", "1"),))
    return Answered(HTTPStatus.UNAUTHORIZED, body, _INVALID)
