"""Decides whether a handshake is accepted. Pure: the decision depends only on the request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from streamer.config.settings import ServerSettings
from streamer.core.ping_status import PingStatus
from streamer.transports.answers import Answered
from streamer.transports.client_files import NONE, ClientFile, unchanged
from streamer.transports.http_request import HttpRequest

HEALTH_PATH: Final = "/healthz"
PING_PATH: Final = "/ping"
MAX_CLIENT_ID: Final = 128
VERSION: Final = "13"
"""The only version of the protocol that became a standard (RFC 6455, section 4.1)."""
KEY_SIZE: Final = 16
"""Bytes of a client's key once it is decoded (RFC 6455, section 4.1)."""
ALLOW: Final = (("Allow", "GET, HEAD, OPTIONS"),)


class Accepted(NamedTuple):
    """The handshake is accepted."""

    client_id: str | None


_BAD_CLIENT_ID: Final = Answered(
    HTTPStatus.BAD_REQUEST, f"client_id must be 1 to {MAX_CLIENT_ID} printable characters, given once\n"
)
_DRAINING: Final = Answered(HTTPStatus.SERVICE_UNAVAILABLE, "draining\n", (("Retry-After", "1"),))
_HEALTHY: Final = Answered(HTTPStatus.OK, "ok\n")
# Without the reason: everybody may ask, and the reason contains names of files.
_UNHEALTHY: Final = Answered(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "requests cannot be stored; the service's log has the reason\n",
    (("Retry-After", "1"),),
)
_NOT_AN_UPGRADE: Final = Answered(
    HTTPStatus.UPGRADE_REQUIRED,
    "this is a WebSocket endpoint; connect with ws:// or wss://\n",
    (("Upgrade", "websocket"),),
)
_OTHER_VERSION: Final = Answered(
    HTTPStatus.UPGRADE_REQUIRED,
    f"only version {VERSION} of the WebSocket protocol is supported\n",
    (("Sec-WebSocket-Version", VERSION),),
)


_METHOD_NOT_ALLOWED: Final = Answered(
    HTTPStatus.METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS are allowed here\n", ALLOW
)
_OPTIONS: Final = Answered(HTTPStatus.NO_CONTENT, headers=ALLOW)
_OLD_UPGRADE: Final = Answered(
    HTTPStatus.UPGRADE_REQUIRED,
    "a WebSocket handshake requires HTTP/1.1; a proxy in between must not fall back to HTTP/1.0 "
    "(for nginx: proxy_http_version 1.1)\n",
    (("Upgrade", "websocket"),),
)
_NOT_CONNECTED: Final = Answered(
    HTTPStatus.BAD_REQUEST,
    "the header Connection must contain Upgrade; a proxy in between must pass it on "
    '(for nginx: proxy_set_header Connection "upgrade")\n',
)
_BAD_KEY: Final = Answered(
    HTTPStatus.BAD_REQUEST, f"the header Sec-WebSocket-Key must be given once: {KEY_SIZE} bytes in base64\n"
)
_BODY: Final = Answered(HTTPStatus.BAD_REQUEST, "a WebSocket handshake has no body\n")


def decide(
    request: HttpRequest,
    settings: ServerSettings,
    *,
    open_connections: int,
    draining: bool,
    healthy: bool = True,
    client_files: Mapping[str, ClientFile] = NONE,
    ping: PingStatus | None = None,
) -> Accepted | Answered:
    """The decision about a request.

    Args:
        request: as received.
        settings: path, origins and limits.
        open_connections: how many there are.
        draining: the service is shutting down.
        healthy: all parts of the service work.
        client_files: the served files, by path.
        ping: answers `/ping`; None: there is no such path.
    """
    if request.method == "OPTIONS":
        return _OPTIONS
    if request.method not in ("GET", "HEAD"):
        return _METHOD_NOT_ALLOWED
    path, _, query = request.target.partition("?")
    if path == HEALTH_PATH:
        return _DRAINING if draining else _HEALTHY if healthy else _UNHEALTHY
    if path != settings.path:
        return _beside(path, request, settings, client_files, ping)
    if (malformed := _no_upgrade(request)) is not None:
        return malformed
    if draining:
        return _DRAINING
    origin = request.headers.get("Origin")
    if origin is not None and not origin_allowed(origin, settings.allowed_origins):
        return Answered(HTTPStatus.FORBIDDEN, "this origin is not among server.allowed_origins\n")
    if open_connections >= settings.max_connections:
        return Answered(HTTPStatus.TOO_MANY_REQUESTS, "too many connections\n", (("Retry-After", "1"),))
    return identified(query)


def _beside(
    path: str,
    request: HttpRequest,
    settings: ServerSettings,
    client_files: Mapping[str, ClientFile],
    ping: PingStatus | None,
) -> Answered:
    """What is answered at another path than the WebSocket's."""
    if path == PING_PATH and ping is not None:
        return Answered(HTTPStatus.OK, ping.answer(), (("Content-Type", "application/json"),))
    if (file := client_files.get(path)) is not None:
        return _served(file, request.headers, settings.allowed_origins)
    return Answered(HTTPStatus.NOT_FOUND, f"no such path; the WebSocket is at {settings.path}\n")


def _no_upgrade(request: HttpRequest) -> Answered | None:
    """Why the request is not a WebSocket handshake by RFC 6455, section 4.2.1; None when it is."""
    headers = request.headers
    if request.method == "HEAD" or not lists(headers.getall("Upgrade", []), "websocket"):
        return _NOT_AN_UPGRADE
    if request.version != "1.1":
        return _OLD_UPGRADE
    if not lists(headers.getall("Connection", []), "upgrade"):
        return _NOT_CONNECTED
    if headers.get("Sec-WebSocket-Version", "").strip() != VERSION:
        return _OTHER_VERSION
    if not _has_key(headers.getall("Sec-WebSocket-Key", [])):
        return _BAD_KEY
    return _BODY if request.has_body else None


def _has_key(keys: list[str]) -> bool:
    try:
        return len(keys) == 1 and len(base64.b64decode(keys[0].encode("ascii"), validate=True)) == KEY_SIZE
    except (UnicodeEncodeError, binascii.Error):
        return False


def _served(file: ClientFile, headers: Mapping[str, str], allowed: tuple[str, ...]) -> Answered:
    answered = [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("ETag", file.etag),
        # Cached, but revalidated each time: an upgrade of the service reaches every page when it is next loaded.
        ("Cache-Control", "no-cache"),
        ("Connection", "close"),
    ]
    # Browsers import a module from another origin only with permission; the allowed origins get it.
    if not allowed or "*" in allowed:
        answered.append(("Access-Control-Allow-Origin", "*"))
    else:
        answered.append(("Vary", "Origin"))
        origin = headers.get("Origin", "")
        # The header that is sent back must be valid; a browser's origin is always ASCII.
        if origin.isascii() and origin_allowed(origin, allowed):
            answered.append(("Access-Control-Allow-Origin", origin))
    if unchanged(headers.get("If-None-Match"), file.etag):
        return Answered(HTTPStatus.NOT_MODIFIED, "", tuple(answered))
    return Answered(HTTPStatus.OK, file.text, tuple(answered))


def identified(query: str) -> Accepted | Answered:
    """The client_id in the query; or the answer when it is invalid."""
    try:
        # Invalid bytes must not be replaced: two different secrets would become equal.
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
    """Scheme, host and port, with the scheme's default port filled in; anything else is returned unchanged."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return origin
    if host is None:
        return origin
    return (parts.scheme, host, {"http": 80, "https": 443}.get(parts.scheme) if port is None else port)


def lists(values: list[str], word: str) -> bool:
    """Whether the values of a header with a list contain this word; browsers may write `keep-alive, Upgrade`."""
    return any(token.strip().lower() == word for value in values for token in value.split(","))
