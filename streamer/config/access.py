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


HOW_TO_CLOSE: Final = (
    "set admin.token: ${STREAMER_ADMIN_TOKEN}, and in the environment STREAMER_ADMIN_TOKEN=$(openssl rand -hex 32); or "
    "remove admin.host, so that only this machine can reach it"
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


def check_admin(document: Document) -> None:
    """Adds a problem for an admin port that other machines can reach and that has no token, and for one with two."""
    admin = document.data.get("admin")
    if not isinstance(admin, Mapping) or admin.get("enabled") is not True:
        return
    has_token = admin.get("token") is not None or admin.get("token_file") is not None
    host, place = admin.get("host", "127.0.0.1"), ("admin", "host")
    if isinstance(host, str) and not document.is_broken(place) and needs_token(host, has_token=has_token):
        source = document.source(place)
        message = (
            f"other machines can reach {shown(host, hidden=bool(source))}{source}, and the admin port has no token"
        )
        document.problem("admin-without-token", place, f"{message}; {HOW_TO_CLOSE}")
    if admin.get("token") is not None and admin.get("token_file") is not None:
        document.problem("bad-value", ("admin", "token_file"), "there is a token already; remove it or the file")


def needs_token(host: str, *, has_token: bool) -> bool:
    """Whether the admin port must not be opened on this host: other machines can reach it, and it has no token."""
    return not has_token and not is_loopback(host)


def is_open(host: str, options: Mapping[str, Any]) -> bool:
    """Whether other machines can reach the host without authentication, and `allow_anyone` does not permit it."""
    return not is_loopback(host) and options.get("allow_anyone") is not True
