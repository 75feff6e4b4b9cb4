"""Checks that the file decides who may use the service. Omitting a setting never opens the service to everybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from streamer.config.document import Document
from streamer.config.sentences import shown
from streamer.core.networks import is_loopback

NOBODY_ASKED: Final = "none"
"""The authentication component that accepts everybody."""

HOW_TO_FIX: Final = (
    "authenticate clients with auth: {use: jwt, …}, or allow everybody with auth: {use: none, allow_anyone: true}"
)


def check_access(document: Document, served: Callable[[str], bool]) -> None:
    """Adds a problem for a server that other machines can reach without authentication, and for actions that nobody may
    use.

    Args:
        document: with the environment filled in.
        served: whether the service's own server holds the connections of this backend. If so, `server.host` decides who
            can reach them.
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
            f"other machines can reach {shown(host, hidden=bool(source))}{source}, and clients are not authenticated"
        )
        document.problem("open-to-anyone", place, f"{message}; {HOW_TO_FIX}")
    backends = data.get("backends")
    place = ("backends", "connections")
    if isinstance(backends, Mapping) and not document.is_broken(place):
        connections = backends.get("connections")
        name = connections.get("use") if isinstance(connections, Mapping) else connections
        if isinstance(name, str) and not served(name) and options.get("allow_anyone") is not True:
            message = f"everybody can reach the connections {shown(name, hidden=False)}, and clients are"
            document.problem("open-to-anyone", place, f"{message} not authenticated; {HOW_TO_FIX}")
    actions = data.get("actions")
    for name, action in actions.items() if isinstance(actions, Mapping) else ():
        if isinstance(action, Mapping) and action.get("permissions"):
            message = "clients have no permissions without authentication; set auth, or remove the permissions"
            document.problem("permissions-without-auth", ("actions", name, "permissions"), message)


def is_open(host: str, options: Mapping[str, Any]) -> bool:
    """Whether other machines can reach the host without authentication, and `allow_anyone` does not permit it."""
    return not is_loopback(host) and options.get("allow_anyone") is not True
