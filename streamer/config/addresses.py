"""Checks the addresses in a file: origins of pages that may connect, and the host to listen on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from streamer.config.document import Document, Place
from streamer.config.sentences import shown

_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_LONGEST_NAME: Final = 253
_NEVER: Final = frozenset({"ws", "wss"})
"""Schemes of WebSocket addresses, which the origin of a page never has."""


def check_addresses(document: Document) -> None:
    """Adds a problem for each origin that no browser sends, and for hosts that cannot be listened on."""
    for section in ("server", "admin"):
        _check_host(document, document.data.get(section), (section, "host"))
    server = document.data.get("server")
    if not isinstance(server, Mapping):
        return
    origins = server.get("allowed_origins")
    for index, origin in enumerate(origins if isinstance(origins, list) else ()):
        place: Place = ("server", "allowed_origins", index)
        problem = origin_problem(origin) if isinstance(origin, str) and not document.is_broken(place) else None
        if problem is not None:
            source = document.source(place)
            document.problem("bad-value", place, f"{shown(origin, hidden=bool(source))}{source} {problem}")


def _check_host(document: Document, section: object, place: Place) -> None:
    host = section.get("host") if isinstance(section, Mapping) else None
    problem = host_problem(host) if isinstance(host, str) and host and not document.is_broken(place) else None
    if problem is not None:
        source = document.source(place)
        document.problem("bad-value", place, f"{shown(host, hidden=bool(source))}{source} {problem}")


def origin_problem(origin: str) -> str | None:
    """Why no browser sends this as the `Origin` of a page; None for a possible origin.

    An origin is a scheme, a host and, unless it is the scheme's default, a port (RFC 6454, section 6.2). A page without
    an origin, such as a file, sends `null`.
    """
    if origin in ("*", "null"):
        return None
    if "," in origin or any(character.isspace() for character in origin):
        return "is not a single origin; write each as an item of the list, without spaces"
    scheme, separator, _ = origin.partition("://")
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an origin; write for example https://app.example.com or http://localhost:3000"
    if not separator or not host:
        return f"has no scheme; write https://{origin}" if not separator else "has no host"
    if scheme.lower() in _NEVER:
        return f"is the address of a WebSocket; write the origin of the page: http{scheme[2:]}://{parts.netloc}"
    if "*" in host:
        return "has a wildcard, but origins are compared literally; list each one, or allow any page with '*'"
    if not host.isascii():
        return f"has characters that browsers send encoded; write {parts.scheme}://{_encoded(host)}"
    right = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        return f"is more than a scheme, a host and a port; write {right}"
    return None


def host_problem(host: str) -> str | None:
    """Why this text cannot be a host to listen on; None for an address and for a possible name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return None
    if "/" in host:
        return "is not a host; write only the address, such as 127.0.0.1, and the path in server.path"
    if host.startswith("[") and host.endswith("]"):
        return f"has brackets; write {host[1:-1]}"
    if ":" in host:
        return "is not an address; write the port in server.port"
    plain = host.removesuffix(".")
    if all(part.isdigit() for part in plain.split(".")):
        return "is not an address; write four numbers from 0 to 255"
    if not host.isascii() or not _HOST_NAME.fullmatch(host) or len(plain) > _LONGEST_NAME:
        return "is neither an address nor a possible name of a machine"
    return None


def _encoded(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return "the encoded name, which starts with xn--"
