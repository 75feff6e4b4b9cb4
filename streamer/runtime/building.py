"""Makes the objects of components: what a plugin raises there is an error that names the plugin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from streamer.contracts.auth import Authenticator
from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.connections import ConnectionManager
from streamer.contracts.middleware import Middleware
from streamer.contracts.stores import RequestQueue
from streamer.core.errors import PluginError, StreamerError
from streamer.core.foreign import is_our_own, one_line
from streamer.stores.boundary import StoreBoundary

_PROTOCOLS: Final[Mapping[Kind, type]] = {
    Kind.STORE: RequestQueue,
    Kind.CONNECTIONS: ConnectionManager,
    Kind.AUTH: Authenticator,
}


async def build(
    stack: contextlib.AsyncExitStack, component: Component, options: Mapping[str, Any], context: BuildContext
) -> Any:
    """The component's object; what it must tidy up is on the stack.

    Raises:
        StreamerError: as the component's factory raises.
        PluginError: it raised something else; the message names the component and its distribution.
    """
    with naming(component):
        made = component.factory(options, context)
        if hasattr(type(made), "__aenter__"):
            entered = await made.__aenter__()
            stack.push_async_exit(_Closing(made, component, context.logger).close)
            made = entered
    if component.namespace:
        protocol = _PROTOCOLS.get(component.kind)
        # No authenticator is one that asks nobody.
        if protocol is not None and not (made is None and component.kind is Kind.AUTH):
            missing = missing_methods(made, protocol)
            if missing:
                what = f"the {component.kind} {component.full_name!r}"
                raise PluginError(f"{what} has not all methods of one: {', '.join(missing)}")
        if component.kind is Kind.MIDDLEWARE and not callable(made) and not isinstance(made, Middleware):
            what = f"the middleware {component.full_name!r} is a {type(made).__name__}"
            raise PluginError(f"{what}: no Middleware, and no callable around a handler")
        if component.kind is Kind.STORE:
            return StoreBoundary(made, component.full_name)
    return made


def missing_methods(made: Any, protocol: type) -> list[str]:
    """The methods of a protocol that an object has not."""
    names = {name for base in protocol.__mro__ for name, value in vars(base).items() if callable(value)}
    return sorted(name for name in names if not name.startswith("_") and not callable(getattr(made, name, None)))


@contextlib.contextmanager
def naming(component: Component) -> Iterator[None]:
    """What a plugin's code raises inside becomes a PluginError that names it. What a built-in one raises is ours."""
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
    """Closes one object. Its failure is logged; the others are closed all the same, and the service ends well."""

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
