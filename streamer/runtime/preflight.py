"""Finds problems that would prevent a start: components are built as for a start, but none is entered."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from streamer.config.document import Place
from streamer.config.settings import ComponentUse, Settings
from streamer.contracts.components import Component, Kind, is_context_manager
from streamer.contracts.middleware import Middleware
from streamer.core.errors import StartError, StreamerError
from streamer.core.foreign_code import one_line, safe_text
from streamer.engine.pipeline import AnyMiddleware
from streamer.handlers.functions import adapt
from streamer.handlers.pools import Pools
from streamer.runtime.admin_port import admin_token
from streamer.runtime.assembly import Components
from streamer.runtime.compiler import compile_route
from streamer.runtime.component_factory import build_context, missing_members, naming, protocols_of
from streamer.transports.tls import TlsProblem, server_context

_QUIET: Final = logging.getLogger("streamer.preflight")
"""Ignores lines that components log while they are built: they belong to the log of a service."""
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Refusal(NamedTuple):
    """A problem that would prevent a start."""

    code: str
    """A problem code."""
    place: Place
    message: str


def examine(settings: Settings, components: Components) -> Iterator[Refusal]:
    """The problems that would prevent a start on this machine, for a file without other problems.

    A factory returns an object, or an async context manager that does its work when it is entered: calling it starts
    nothing. Objects that hold resources are context managers, so there is nothing to close.

    Args:
        settings: the file.
        components: by kind and full name.
    """
    if settings.server.tls is not None:
        try:
            server_context(settings.server.tls)
        except TlsProblem as problem:
            place: Place = ("server", "tls", problem.field) if problem.field else ("server", "tls")
            yield Refusal("bad-option", place, problem.reason)
    try:
        admin_token(settings.admin)
    except StartError as problem:
        yield Refusal("bad-option", ("admin",), str(problem))
    yield from _Examiner(settings, components).run()


class _Examiner:
    def __init__(self, settings: Settings, components: Components) -> None:
        self._settings = settings
        self._components = components
        self._context = build_context(settings, components, logger=_QUIET)

    def run(self) -> Iterator[Refusal]:
        """Every problem of the components that the file uses."""
        settings = self._settings
        yield from self._examined(Kind.STORE, settings.backends.store, ("backends", "store"))
        yield from self._examined(Kind.CONNECTIONS, settings.backends.connections, ("backends", "connections"))
        yield from self._examined(Kind.AUTH, settings.auth, ("auth",))
        middlewares: list[AnyMiddleware] = []
        for index, use in enumerate(settings.middleware):
            place: Place = ("middleware", index)
            try:
                made = self._built(Kind.MIDDLEWARE, use)
            except _Refused as refused:
                yield Refusal("bad-option", place, str(refused))
                continue
            if isinstance(made, Middleware) or (callable(made) and not is_context_manager(made)):
                middlewares.append(made)
            elif not is_context_manager(made):
                what = f"the middleware {use.name!r} is of type {type(made).__name__}"
                yield Refusal("bad-option", place, f"{what}; it must be a Middleware, or a callable around a handler")
        yield from self._actions(middlewares)

    def _actions(self, middlewares: list[AnyMiddleware]) -> Iterator[Refusal]:
        pools = Pools(threads=1, direct_threads=1, processes=1, direct_processes=1)
        for action in self._settings.actions.values():
            component = self._components[Kind.HANDLER, action.handler]
            use = ComponentUse(name=action.handler, options=action.options)
            if refusals := self._named(Kind.HANDLER, use, ("actions", action.name, "with")):
                yield from refusals
                continue
            try:
                made = self._built(Kind.HANDLER, use)
                if not is_context_manager(made):
                    with _refusing(component):
                        handler = adapt(made, pools=pools)
                        compile_route(action, self._settings.service, component, handler, middlewares)
            except _Refused as refused:
                yield Refusal("bad-option", ("actions", action.name, "handler"), str(refused))

    def _examined(self, kind: Kind, use: ComponentUse, place: Place) -> Iterator[Refusal]:
        yield from self._named(kind, use, place)
        try:
            made = self._built(kind, use)
        except _Refused as refused:
            yield Refusal("bad-option", place, str(refused))
            return
        # None is an authenticator that accepts everybody.
        if (made is None and kind is Kind.AUTH) or is_context_manager(made):
            return
        missing = missing_members(made, *protocols_of(self._components[kind, use.name]))
        if missing:
            message = f"the {kind} {use.name!r} lacks {', '.join(missing)}; this is a bug in the plugin"
            yield Refusal("bad-option", place, message)

    def _built(self, kind: Kind, use: ComponentUse) -> Any:
        component = self._components[kind, use.name]
        with _refusing(component):
            return component.factory(use.options, self._context)

    def _named(self, kind: Kind, use: ComponentUse, place: Place) -> list[Refusal]:
        """The problems with the options on this machine."""
        component = self._components[kind, use.name]
        if component.check_machine is None:
            return []
        try:
            with _refusing(component):
                found = list(component.check_machine(use.options, self._context))
        except _Refused as refused:
            return [Refusal("bad-option", place, str(refused))]
        return [Refusal("bad-option", (*place, *problem.place), problem.message) for problem in found]


class _Refused(Exception):
    """Why a component cannot be used, on one line."""


@contextlib.contextmanager
def _refusing(component: Component) -> Iterator[None]:
    """Exceptions inside become problems."""
    try:
        with naming(component):
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        text = safe_text(problem) if isinstance(problem, StreamerError) else one_line(problem)
        raise _Refused(text.partition("\n")[0]) from problem
