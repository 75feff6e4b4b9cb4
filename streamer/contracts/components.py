"""A component: an object that a plugin provides and `streamer.yaml` refers to by name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeGuard

from streamer.contracts.provisioning import Resource
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError
from streamer.core.health import Health

NO_OPTIONS: Final[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}


class Kind(StrEnum):
    """What a component is, which decides where the file may name it."""

    HANDLER = "handler"
    MIDDLEWARE = "middleware"
    STORE = "store"
    CONNECTIONS = "connections"
    AUTH = "auth"
    COMMAND = "command"
    EXPORT = "export"
    EMULATOR = "emulator"


class Stability(StrEnum):
    """Which changes of a component are possible without a major version."""

    STABLE = "stable"
    BETA = "beta"
    EXPERIMENTAL = "experimental"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What a factory may use of the service that is being built."""

    base_dir: Path
    """The folder of the configuration file; relative paths in options start from it."""
    clock: Clock = field(default_factory=SystemClock)
    service: str = "streamer"
    settings: Any = None
    """The whole frozen `Settings`, for components that need more than their own options."""
    logger: Any = field(default_factory=lambda: logging.getLogger("streamer"))
    health: Health = field(default_factory=Health)
    """The component reports here that it does not work, and that it works again. The health check answers 503
    meanwhile.
    """
    shared_connections: bool = False
    """The file's connections declare `several_processes`: a request may end in another process than the one that holds
    its connection, and a message between the two may be lost.
    """

    def path(self, text: str) -> Path:
        """The absolute path of an option: relative ones start from the file's folder, and `~` is expanded.

        Raises:
            StartError: it contains a null character.
        """
        if "\0" in text:
            raise StartError(f"{text!r} is not a path: it contains a null character")
        return (self.base_dir / Path(text).expanduser()).resolve()


Factory = Callable[[Mapping[str, Any], BuildContext], Any]
"""Called with validated options, including defaults. Returns the component's object, or an async context manager that
yields the object and cleans up after the service has stopped. It must open and start nothing, because `streamer check`
calls it too, without entering the context manager.
"""


def is_context_manager(made: object) -> TypeGuard[AbstractAsyncContextManager[Any]]:
    """Whether a factory's result is a context manager that yields the component's object."""
    return isinstance(made, AbstractAsyncContextManager)


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """A problem with options that a JSON Schema cannot express."""

    place: tuple[str | int, ...]
    """Keys and list positions from the options; empty for the options as a whole."""
    message: str
    """What is wrong, and how to fix it. It must not contain a secret."""


Check = Callable[[Mapping[str, Any], BuildContext], Iterable[OptionProblem]]

Provision = Callable[[Mapping[str, Any], BuildContext], AbstractAsyncContextManager[Sequence[Resource]]]
"""Called with validated options, like a `Factory`. The yielded object is used until the context ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Kind, name, factory and JSON Schema of the options: what the checks of the file and the runtime need."""

    kind: Kind
    name: str
    """The name within the plugin. In the file it is `<entry point>.<name>`; built-ins have no prefix."""
    prefixed: bool = True
    """False: the file names this component of a plugin without the prefix, like a built-in one. Choose a unique name: a
    second component with the same name and kind prevents the start. A command always has its prefix.
    """
    factory: Factory
    summary: str = ""
    """One line, shown by `streamer list`."""
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
    """JSON Schema (2020-12) of the options object. A property with `writeOnly: true` is a secret."""
    check: Check | None = None
    """Finds problems that the schema cannot express. `streamer check` calls it with options that are valid by the
    schema, including defaults. It must start nothing and not use the network; it may read files that the options name.
    """
    stability: Stability = Stability.STABLE
    immediate: bool = False
    """Of a handler: the object fulfils `Middleware.immediate`, so it can be stepped without a task. Of a middleware,
    the attribute `Middleware.immediate` of the object decides, and this field is not read.
    """
    check_machine: Check | None = None
    """As `check`, for things that must exist on the machine where the service starts: files, folders, programs. Only
    `streamer check` calls it, since other commands, such as an export, may run on another machine.
    """

    # What stores and connections can do. The service uses only declared capabilities.
    several_processes: bool = False
    """Stores: any number of processes can open the store at once. Connections: any process can send to them; the object
    is a `SharedConnections`.
    """
    holds_sockets: bool = False
    """Connections: they are the sockets of this process's own server, so `streamer run` can serve them. The object is
    also a `PeerRegistry`; with `several_processes` it is a `SharedSockets`.
    """
    watched: bool = False
    """Stores for several processes: the object is a `WatchedQueue`."""
    claims_by_key: bool = False
    """Stores: the object is a `WokenQueue`."""
    operator: Factory | None = None
    """Stores: creates the object that `streamer requests` uses while a service may be running. A store for several
    processes needs none, since its own factory works for this.
    """
    provision: Provision | None = None
    """Creates the resource for `streamer backend check | create | migrate | delete`. None: the backend has no such
    resources.
    """

    # Handlers only: defaults that an action in the file can override.
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the payload."""
    result_schema: Mapping[str, Any] | None = None
    estimated_duration: str | None = None
    """A duration with its unit, as in the file."""
    description: str = ""

    # Filled in at registration; a plugin leaves these unset.
    namespace: str = ""
    distribution: str = "streamer-router"
    version: str = ""

    @property
    def full_name(self) -> str:
        """The name in the file."""
        return f"{self.namespace}.{self.name}" if self.namespace and self.prefixed else self.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The names of the declared capabilities, for listings and docs."""
        declared = ("several_processes", "holds_sockets", "watched", "claims_by_key", "operator", "provision")
        return tuple(name for name in declared if getattr(self, name))


def handler(
    name: str,
    target: Any,
    *,
    summary: str = "",
    options: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    result_schema: Mapping[str, Any] | None = None,
    estimated_duration: str | None = None,
    description: str = "",
    cpu_bound: bool = False,
    stability: Stability = Stability.STABLE,
) -> Component:
    """A handler component made from a class or a function.

    Args:
        name: the name in the file, after the plugin's prefix.
        target: a class whose instances are handlers, created with the options as keyword arguments; or a function
            `f(request, **options)`. An `async def` runs on the event loop, a plain `def` in a thread, and a `cpu_bound`
            one in a process of its own pool (the function, its arguments and its result must be picklable).
        summary: one line. Default: the first line of the target's docstring.
        options: JSON Schema of the options object. Default: no options are allowed. A property with `format: path`
            reaches the target as an absolute `pathlib.Path`, resolved as in `BuildContext.path`; so does each item of
            an array whose `items` have that format.
        schema: JSON Schema of the payload, the default for actions without one.
        result_schema: JSON Schema of the result's data.
        estimated_duration: such as `"200ms"`; the default for actions without one.
        description: for the people who call the action.
        cpu_bound: run the function in a process.
        stability: which changes are possible.
    """
    doc = (inspect.getdoc(target) or "").partition("\n")[0]
    option_schema = NO_OPTIONS if options is None else options

    def build(given: Mapping[str, Any], context: BuildContext) -> Any:
        ready = _with_paths(given, option_schema, context)
        if inspect.isclass(target):
            return target(**ready)
        return FunctionTarget(target, ready, cpu_bound)

    return Component(
        kind=Kind.HANDLER,
        name=name,
        factory=build,
        summary=summary or doc,
        options=option_schema,
        stability=stability,
        schema=schema,
        result_schema=result_schema,
        estimated_duration=estimated_duration,
        description=description or summary or doc,
    )


def _with_paths(given: Mapping[str, Any], option_schema: Mapping[str, Any], context: BuildContext) -> dict[str, Any]:
    properties = option_schema.get("properties", {})
    return {name: _with_path(value, properties.get(name), context) for name, value in given.items()}


def _with_path(value: Any, schema: Any, context: BuildContext) -> Any:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, str) and schema.get("format") == "path":
        return context.path(value)
    if isinstance(value, (list, tuple)):
        return [_with_path(item, schema.get("items"), context) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class FunctionTarget:
    """A plain function that the runtime turns into a handler."""

    function: Callable[..., Any]
    options: dict[str, Any]
    cpu_bound: bool = False
