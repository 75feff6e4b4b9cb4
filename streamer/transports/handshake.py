"""Whether a connection may begin. Pure: it decides from the request alone."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from streamer.config.settings import ServerSettings
from streamer.transports.client_files import NONE, ClientFile, unchanged

HEALTH_PATH: Final = "/healthz"
MAX_CLIENT_ID: Final = 128
VERSION: Final = "13"
"""The only version of the protocol that became a standard (RFC 6455, section 4.1)."""


class Accepted(NamedTuple):
    """The upgrade may be made."""

    client_id: str | None


class Answered(NamedTuple):
    """The request is answered as plain HTTP, and the connection ends."""

    status: HTTPStatus
    body: str
    headers: tuple[tuple[str, str], ...] = ()


_BAD_TARGET: Final = Answered(HTTPStatus.BAD_REQUEST, "the request target is not UTF-8\n")
_BAD_CLIENT_ID: Final = Answered(
    HTTPStatus.BAD_REQUEST, f"client_id must be 1 to {MAX_CLIENT_ID} printable characters, given once\n"
)
_DRAINING: Final = Answered(HTTPStatus.SERVICE_UNAVAILABLE, "draining\n", (("Retry-After", "1"),))
_NOT_AN_UPGRADE: Final = Answered(
    HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket; connect with ws:// or wss://\n", (("Upgrade", "websocket"),)
)
_OTHER_VERSION: Final = Answered(
    HTTPStatus.UPGRADE_REQUIRED,
    f"only version {VERSION} of the WebSocket protocol is spoken\n",
    (("Sec-WebSocket-Version", VERSION),),
)


def decide(
    target: bytes,
    headers: Mapping[str, str],
    settings: ServerSettings,
    *,
    open_connections: int,
    draining: bool,
    client_files: Mapping[str, ClientFile] = NONE,
) -> Accepted | Answered:
    """What becomes of a request.

    Args:
        target: path and query as they came.
        headers: case-insensitive.
        settings: path, origins and limits.
        open_connections: how many there are.
        draining: the service is shutting down.
        client_files: what is served beside the WebSocket, by path.
    """
    try:
        path, _, query = target.decode().partition("?")
    except UnicodeDecodeError:
        return _BAD_TARGET
    if path == HEALTH_PATH:
        return _DRAINING if draining else Answered(HTTPStatus.OK, "ok\n")
    if path != settings.path:
        if (file := client_files.get(path)) is not None:
            return _served(file, headers, settings.allowed_origins)
        return Answered(HTTPStatus.NOT_FOUND, f"no such path; the WebSocket is at {settings.path}\n")
    if headers.get("Upgrade", "").strip().lower() != "websocket":
        return _NOT_AN_UPGRADE
    if headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
        return _OTHER_VERSION
    if draining:
        return _DRAINING
    origin = headers.get("Origin")
    if origin is not None and not origin_allowed(origin, settings.allowed_origins):
        return Answered(HTTPStatus.FORBIDDEN, "this origin is not among server.allowed_origins\n")
    if open_connections >= settings.max_connections:
        return Answered(HTTPStatus.TOO_MANY_REQUESTS, "too many connections\n", (("Retry-After", "1"),))
    return identified(query)


def _served(file: ClientFile, headers: Mapping[str, str], allowed: tuple[str, ...]) -> Answered:
    answered = [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("ETag", file.etag),
        # Kept, but asked about each time: an upgrade of the service reaches every page at its next load.
        ("Cache-Control", "no-cache"),
        ("Connection", "close"),
    ]
    # Browsers import a module from another origin only if it allows that: the pages that may connect may import.
    if not allowed or "*" in allowed:
        answered.append(("Access-Control-Allow-Origin", "*"))
    else:
        answered.append(("Vary", "Origin"))
        origin = headers.get("Origin", "")
        # What goes back must have a form; a browser's origin is always ASCII.
        if origin.isascii() and origin_allowed(origin, allowed):
            answered.append(("Access-Control-Allow-Origin", origin))
    if unchanged(headers.get("If-None-Match"), file.etag):
        return Answered(HTTPStatus.NOT_MODIFIED, "", tuple(answered))
    return Answered(HTTPStatus.OK, file.text, tuple(answered))


def identified(query: str) -> Accepted | Answered:
    """Who a connection says that it is, in its query; or why that cannot be."""
    try:
        # Bytes that are no text must not be replaced: two different secrets would become the same.
        client_ids = parse_qs(query, keep_blank_values=True, errors="strict").get("client_id")
    except UnicodeDecodeError:
        return Answered(HTTPStatus.BAD_REQUEST, "the query is not UTF-8\n")
    if client_ids is None:
        return Accepted(None)
    client_id = client_ids[0]
    if len(client_ids) > 1 or not 0 < len(client_id) <= MAX_CLIENT_ID or not client_id.isprintable():
        return _BAD_CLIENT_ID
    return Accepted(client_id)


def origin_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    """Whether a browser's page may connect: scheme, host and port as in the list; an empty list or `*` allows any."""
    if not allowed or "*" in allowed:
        return True
    normal = _normal(origin)
    return any(normal == _normal(one) for one in allowed)


def _normal(origin: str) -> tuple[str, str, int | None] | str:
    """Scheme, host and port with the scheme's own port filled in; what is no origin stands for itself."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return origin
    if host is None:
        return origin
    return (parts.scheme, host, {"http": 80, "https": 443}.get(parts.scheme) if port is None else port)


def asks_for_upgrade(connection: list[str]) -> bool:
    """Whether the values of the Connection header hold the word; browsers may write `keep-alive, Upgrade`."""
    return any(token.strip().lower() == "upgrade" for value in connection for token in value.split(","))
