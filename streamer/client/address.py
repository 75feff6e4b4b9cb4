"""The address of the service, with the client's own secret in its query."""

from __future__ import annotations

import secrets
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

_PARAMETER = "client_id"


class Address(NamedTuple):
    """Where to connect."""

    url: str
    """With `client_id` in its query."""
    shown: str
    """For people and logs: without user, query and fragment."""
    client_id: str


def address(url: str, client_id: str | None) -> Address:
    """Adds the client's id to the address, makes one if there is none.

    Raises:
        ValueError: the address is not `ws://` or `wss://`, or holds another `client_id` than the one given.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url.partition('?')[0]!r} is not a WebSocket address; write one as ws://127.0.0.1:8080/ws")
    # Whoever knows the id owns the requests, so it must not be guessed.
    known = next(iter(parse_qs(parts.query).get(_PARAMETER, ())), None)
    if known is not None and client_id not in (None, known):
        raise ValueError("the address already holds another client_id; give it in one place")
    chosen = known or client_id or secrets.token_urlsafe(24)
    if known is None:
        query = "&".join(filter(None, (parts.query, urlencode({_PARAMETER: chosen}))))
        parts = parts._replace(query=query)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    return Address(parts.geturl(), shown.geturl(), chosen)
