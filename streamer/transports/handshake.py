"""Whether a connection may begin. Pure: it decides from the request alone."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from streamer.config.settings import ServerSettings

HEALTH_PATH = "/healthz"
MAX_CLIENT_ID = 128


class Accepted(NamedTuple):
    """The upgrade may be made."""

    client_id: str | None


class Answered(NamedTuple):
    """The request is answered as plain HTTP, and the connection ends."""

    status: HTTPStatus
    body: str
    headers: tuple[tuple[str, str], ...] = ()


def decide(
    target: str, headers: Mapping[str, str], settings: ServerSettings, *, open_connections: int, draining: bool
) -> Accepted | Answered:
    """What becomes of a request.

    Args:
        target: path and query as they came.
        headers: case-insensitive.
        settings: path, origins and limits.
        open_connections: how many there are.
        draining: the service is shutting down.
    """
    path, _, query = target.partition("?")
    if path == HEALTH_PATH:
        return Answered(HTTPStatus.SERVICE_UNAVAILABLE, "draining\n") if draining else Answered(HTTPStatus.OK, "ok\n")
    if path != settings.path:
        return Answered(HTTPStatus.NOT_FOUND, f"no such path; the WebSocket is at {settings.path}\n")
    if headers.get("Upgrade", "").lower() != "websocket":
        return Answered(
            HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket; connect with ws://\n", (("Upgrade", "websocket"),)
        )
    if draining:
        return Answered(HTTPStatus.SERVICE_UNAVAILABLE, "draining\n", (("Retry-After", "1"),))
    origin = headers.get("Origin")
    if origin is not None and not origin_allowed(origin, settings.allowed_origins):
        return Answered(HTTPStatus.FORBIDDEN, "this origin is not among server.allowed_origins\n")
    if open_connections >= settings.max_connections:
        return Answered(HTTPStatus.TOO_MANY_REQUESTS, "too many connections\n", (("Retry-After", "1"),))
    client_ids = parse_qs(query, keep_blank_values=True).get("client_id")
    if client_ids is None:
        return Accepted(None)
    client_id = client_ids[0]
    if len(client_ids) > 1 or not 0 < len(client_id) <= MAX_CLIENT_ID or not client_id.isprintable():
        return Answered(HTTPStatus.BAD_REQUEST, "client_id must be 1 to 128 printable characters, given once\n")
    return Accepted(client_id)


def origin_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    """Whether a browser's page may connect: scheme, host and port as in the list; an empty list or `*` allows any."""
    if not allowed or "*" in allowed:
        return True
    return _normal(origin) in {_normal(one) for one in allowed}


def _normal(origin: str) -> tuple[str, str, int | None]:
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError:
        port = -1
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return (parts.scheme, (parts.hostname or origin).lower(), default if port is None else port)
