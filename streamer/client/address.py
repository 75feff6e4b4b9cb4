"""What a client sends in its handshake: the address, with the client's secret in its query, and headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

_PARAMETER = "client_id"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ODD = re.compile(r"[\x00-\x20\x7f]")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


class Address(NamedTuple):
    """The address to connect to."""

    url: str
    """With `client_id` in its query."""
    shown: str
    """For messages and logs: without user, query and fragment."""
    client_id: str


def address(url: str, client_id: str | None) -> Address:
    """Adds the client's id to the address, and generates one if there is none.

    Raises:
        TypeError: the address is not a string.
        ValueError: the address is not `ws://` or `wss://`, or contains a different `client_id`.
    """
    if not isinstance(url, str):
        raise TypeError(f"the address must be a string; it is {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise ValueError(f"{_shown(url)!r} is not an address: {problem}") from None
    if parts.scheme in ("http", "https"):
        raise ValueError(
            f"{_shown(url)!r} is not a WebSocket address; write ws:// instead of http://, and wss:// instead of https://"
        )
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0 or _ODD.search(url):
        raise ValueError(
            f"{_shown(url)!r} is not a WebSocket address; write for example ws://127.0.0.1:8080/ws, without spaces"
        )
    # The id gives access to the requests, so it must not be guessable.
    known = next(iter(parse_qs(parts.query).get(_PARAMETER, ())), None)
    if known is not None and client_id not in (None, known):
        raise ValueError("the address already contains another client_id; give the client_id only once")
    chosen = known or client_id or secrets.token_urlsafe(24)
    if known is None:
        query = "&".join(filter(None, (parts.query, urlencode({_PARAMETER: chosen}))))
        parts = parts._replace(query=query)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    return Address(parts.geturl(), shown.geturl(), chosen)


def _shown(url: str) -> str:
    """The address without query and user, which may contain secrets."""
    before, slashes, after = url.partition("?")[0].partition("//")
    return before + slashes + after.rpartition("@")[2]


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """A copy of valid headers (RFC 9110, sections 5.1 and 5.5).

    Raises:
        TypeError: a name or value is not a string.
        ValueError: a name or value contains a character that would end it, or start another header.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"The name and value of header {name!r} must be strings; the value is {value!r}")
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(
                f"Header {name!r} cannot be sent: its name or value contains a line break or a similar character"
            )
    return dict(headers)
