"""Builds the objects of components. Exceptions of a plugin become errors that name it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from streamer.config.settings import Settings
from streamer.contracts.auth import Authenticator
from streamer.contracts.components import BuildContext, Component, Kind, is_context_manager
from streamer.contracts.connections import ConnectionManager, PeerRegistry, SharedConnections, SharedSockets
from streamer.contracts.middleware import Middleware
from streamer.contracts.stores import RequestQueue, WatchedQueue, WokenQueue
from streamer.core.errors import PluginError, StreamerError
from streamer.core.foreign_code import is_our_own, one_line
from streamer.stores.boundary import StoreBoundary

_PROTOCOLS: Final[Mapping[Kind, type]] = {
    Kind.STORE: RequestQueue,
    Kind.CONNECTIONS: ConnectionManager,
    Kind.AUTH: Authenticator,
}


def protocols_of(component: Component) -> list[type]:
    """The protocols that the component's object must implement, by its kind and declared capabilities."""
    declared = (
        (component.claims_by_key, WokenQueue),
        (component.several_processes and component.kind is Kind.CONNECTIONS, SharedConnections),
        (component.holds_sockets, PeerRegistry),
        (component.holds_sockets and component.several_processes, SharedSockets),
        (component.watched, WatchedQueue),
    )
    base = _PROTOCOLS.get(component.kind)
    return [] if base is None else [base, *(protocol for given, protocol in declared if given)]


def build_context(settings: Settings, components: Mapping[tuple[Kind, str], Component], **more: Any) -> BuildContext:
    """The context for the factories of a file's components.

    Args:
        settings: the file.
        components: by kind and full name.
        more: further fields of the context.
    """
    connections = components[Kind.CONNECTIONS, settings.backends.connections.name]
    return BuildContext(
        base_dir=settings.base_dir,
        service=settings.service.name,
        settings=settings,
        shared_connections=connections.several_processes,
        **more,
    )


async def build(
    stack: contextlib.AsyncExitStack, component: Component, options: Mapping[str, Any], context: BuildContext
) -> Any:
    """The component's object; its cleanup is added to the stack.

    Raises:
        StreamerError: from the component's factory.
        PluginError: the factory raised another exception; the message names the component and its distribution.
    """
    with naming(component):
        made = component.factory(options, context)
        if is_context_manager(made):
            entered = await made.__aenter__()
            stack.push_async_exit(_Closing(made, component, context.logger).close)
            made = entered
    if component.namespace:
        # None is an authenticator that accepts everybody.
        if not (made is None and component.kind is Kind.AUTH):
            missing = missing_members(made, *protocols_of(component))
            if missing:
                what = f"the {component.kind} {component.full_name!r}"
                raise PluginError(f"{what} lacks {', '.join(missing)}")
        if component.kind is Kind.MIDDLEWARE and not callable(made) and not isinstance(made, Middleware):
            what = f"the middleware {component.full_name!r} is of type {type(made).__name__}"
            raise PluginError(f"{what}; it must be a Middleware, or a callable around a handler")
        if component.kind is Kind.STORE:
            return StoreBoundary(made, component.full_name)
    return made


def missing_members(made: Any, *protocols: type) -> list[str]:
    """The methods and attributes of the protocols that the object lacks."""
    bases = [base for protocol in protocols for base in protocol.__mro__]
    methods = {name for base in bases for name, value in vars(base).items() if callable(value)}
    attributes = {name for base in bases for name in vars(base).get("__annotations__", ())}
    missing = {name for name in methods if not callable(getattr(made, name, None))}
    missing |= {name for name in attributes if not hasattr(made, name)}
    return sorted(name for name in missing if not name.startswith("_"))


@contextlib.contextmanager
def naming(component: Component) -> Iterator[None]:
    """Exceptions of a plugin's code become a PluginError that names it. Exceptions of built-in components are our
    own.
    """
    try:
        yield
    except StreamerError:
        raise
    except BaseException as problem:
        if is_our_own(problem) or isinstance(problem, KeyboardInterrupt) or not component.namespace:
            raise
        raise PluginError(
            f"the {component.kind} {component.full_name!r} of {component.distribution} {component.version} "
            f"cannot be started: {one_line(problem)}"
        ) from problem


class _Closing:
    """Closes one object. A failure is logged, and the others are still closed."""

    def __init__(self, made: Any, component: Component, logger: Any) -> None:
        self._made = made
        self._component = component
        self._logger = logger

    async def close(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            return bool(await self._made.__aexit__(kind, raised, trace))
        except BaseException as problem:
            if problem is raised or is_our_own(problem) or not self._component.namespace:
                raise
            self._logger.error("a component failed to close", component=self._component.full_name, exc_info=problem)
            return False
