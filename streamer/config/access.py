"""Whether the file says who may use the service: nobody is let in by leaving something out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from streamer.config.document import Document
from streamer.config.wording import shown
from streamer.core.addresses import is_loopback

NOBODY_ASKED: Final = "none"
"""The way of authentication that lets everybody in."""

HOW_TO_FIX: Final = (
    "say who may connect, with auth: {use: jwt, …}; or let everybody in, with auth: {use: none, allow_anyone: true}"
)


def check_access(document: Document, served: Callable[[str], bool]) -> None:
    """Notes a server that everybody can reach and nobody is asked at, and actions that nobody could use.

    Args:
        document: filled already.
        served: whether the connections of this name are those of the service's own server, of which `server.host` says
            who can reach it.
    """
    data = document.data
    written = data.get("auth", NOBODY_ASKED)
    options = written if isinstance(written, Mapping) else {"use": written}
    if options.get("use") != NOBODY_ASKED or document.is_broken(("auth",)):
        return
    server = data.get("server")
    host = server.get("host", "127.0.0.1") if isinstance(server, Mapping) else "127.0.0.1"
    place = ("server", "host")
    if isinstance(host, str) and not document.is_broken(place) and is_open(host, options):
        source = document.source(place)
        message = (
            f"other machines can reach {shown(host, hidden=bool(source))}{source}, and nobody is asked who they are"
        )
        document.problem("open-to-anyone", place, f"{message}; {HOW_TO_FIX}")
    backends = data.get("backends")
    place = ("backends", "connections")
    if isinstance(backends, Mapping) and not document.is_broken(place):
        connections = backends.get("connections")
        name = connections.get("use") if isinstance(connections, Mapping) else connections
        if isinstance(name, str) and not served(name) and options.get("allow_anyone") is not True:
            message = f"{shown(name, hidden=False)} lets everybody connect who can reach it, and nobody is asked who"
            document.problem("open-to-anyone", place, f"{message} they are; {HOW_TO_FIX}")
    actions = data.get("actions")
    for name, action in actions.items() if isinstance(actions, Mapping) else ():
        if isinstance(action, Mapping) and action.get("permissions"):
            message = "nobody holds permissions without authentication; add auth, or take them away"
            document.problem("permissions-without-auth", ("actions", name, "permissions"), message)


def is_open(host: str, options: Mapping[str, Any]) -> bool:
    """Whether other machines reach the host without the file saying that they may, as nobody is asked who they are."""
    return not is_loopback(host) and options.get("allow_anyone") is not True
