"""The hooks that a plugin may implement.

An entry point of the group `streamer` names a module (or an object) whose functions are marked with `hookimpl`::

    from streamer import Component, handler, hookimpl

    @hookimpl
    def streamer_handlers() -> list[Component]:
        return [handler("create_user", create_user)]

Hooks are called once, at the start. They are synchronous, take no arguments, have no side effects, and return a list;
the order of the list, and of the plugins, does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pluggy

from streamer.contracts.components import Component, Kind

PROJECT: Final = "streamer"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as one of the hooks below; unmarked functions are not called."""


@hookspec
def streamer_handlers() -> list[Component]:
    """Components of kind HANDLER, made by `streamer.handler`, for the key `handler:` of an action."""
    return []


@hookspec
def streamer_middlewares() -> list[Component]:
    """Components of kind MIDDLEWARE, for `middleware: [{use: …}]`. A factory returns a `streamer.Middleware`, or a
    callable that takes a handler and returns one.
    """
    return []


@hookspec
def streamer_backends() -> list[Component]:
    """Components of kind STORE and CONNECTIONS, for `backends.store.use` and `backends.connections.use`. A factory
    returns a request queue or a connection manager.
    """
    return []


@hookspec
def streamer_auth() -> list[Component]:
    """Components of kind AUTH, for `auth.use`."""
    return []


@hookspec
def streamer_commands() -> list[Component]:
    """Components of kind COMMAND, EXPORT and EMULATOR: subcommands of `streamer`, of `streamer export` and of `streamer
    emulate`. A factory returns a `click.Command`; it is called with empty options and a context whose folder is the
    current one.
    """
    return []


KINDS: Final[Mapping[str, frozenset[Kind]]] = MappingProxyType(
    {
        "streamer_handlers": frozenset({Kind.HANDLER}),
        "streamer_middlewares": frozenset({Kind.MIDDLEWARE}),
        "streamer_backends": frozenset({Kind.STORE, Kind.CONNECTIONS}),
        "streamer_auth": frozenset({Kind.AUTH}),
        "streamer_commands": frozenset({Kind.COMMAND, Kind.EXPORT, Kind.EMULATOR}),
    }
)
"""The kinds that each hook may return."""
