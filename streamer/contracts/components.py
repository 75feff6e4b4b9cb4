"""A component: something that a plugin offers and `streamer.yaml` names."""

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
    """What a component is for, and so where the file may name it."""

    HANDLER = "handler"
    MIDDLEWARE = "middleware"
    STORE = "store"
    CONNECTIONS = "connections"
    AUTH = "auth"
    COMMAND = "command"
    EXPORT = "export"
    EMULATOR = "emulator"


class Stability(StrEnum):
    """What may change about a component without a major version."""

    STABLE = "stable"
    BETA = "beta"
    EXPERIMENTAL = "experimental"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What a factory may use of the service that it builds for."""

    base_dir: Path
    """The configuration file's folder; relative paths in options are relative to it."""
    clock: Clock = field(default_factory=SystemClock)
    service: str = "streamer"
    settings: Any = None
    """The whole frozen `Settings`, for components that need more than their own options."""
    logger: Any = field(default_factory=lambda: logging.getLogger("streamer"))
    health: Health = field(default_factory=Health)
    """Where a component reports that it does not work, and that it does again: the health check answers 503 then."""
    shared_connections: bool = False
    """The file's connections declare `several_processes`: a request may end in another process than the one that its
    connection belongs to, and a message between the two may be lost."""

    def path(self, text: str) -> Path:
        """An option's path, absolute: relative ones from the file's folder, `~` expanded.

        Raises:
            StartError: it holds a null character.
        """
        if "\0" in text:
            raise StartError(f"{text!r} is no path: it holds a null character")
        return (self.base_dir / Path(text).expanduser()).resolve()


Factory = Callable[[Mapping[str, Any], BuildContext], Any]
"""Called with checked options, defaults filled in. Returns the component's object, or an async context manager that
yields it and tidies up after the service has stopped. It opens and starts nothing: `streamer check` calls it too, and
does not enter the context manager."""


def is_context_manager(made: object) -> TypeGuard[AbstractAsyncContextManager[Any]]:
    """Whether what a factory returned yields the component's object, or is that object."""
    return isinstance(made, AbstractAsyncContextManager)


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """Something wrong with options that no JSON Schema can say."""

    place: tuple[str | int, ...]
    """Keys and list positions from the options; empty for all of them."""
    message: str
    """What is wrong, and the way out. It must not hold a secret."""


Check = Callable[[Mapping[str, Any], BuildContext], Iterable[OptionProblem]]

Provision = Callable[[Mapping[str, Any], BuildContext], AbstractAsyncContextManager[Sequence[Resource]]]
"""Called with checked options, as a `Factory`. What it yields is used until the context ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Kind, name, factory and the JSON Schema of the options: all that the file's checks and the runtime need."""

    kind: Kind
    name: str
    """As the plugin calls it. In the file: `<entry point>.<name>`; built-ins have no prefix."""
    prefixed: bool = True
    """False: a plugin's component that the file names without the prefix, as if it were built in. Choose a name that no
    other plugin uses: a second component of that name and kind is refused at the start. A command always has
    its prefix."""
    factory: Factory
    summary: str = ""
    """One line, shown by `streamer list`."""
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
    """JSON Schema (2020-12) of the options object. A property with `writeOnly: true` is a secret."""
    check: Check | None = None
    """What the schema cannot say. Called by `streamer check` with options in which the schema finds nothing wrong,
    defaults filled in. It starts nothing and asks no network; it may read files that the options name."""
    stability: Stability = Stability.STABLE
    immediate: bool = False
    """The object promises what `Middleware.immediate` says: it may be stepped without a task."""
    check_machine: Check | None = None
    """As `check`, for what must be on the machine that the service starts on: files, folders, programs. Only `streamer
    check` calls it; other commands, such as an export, may run on another machine."""

    # Of stores and connections: what they can do. What is not declared is not asked of them.
    several_processes: bool = False
    """Of a store: any number of processes may have it open at once. Of connections: any process can send to them; the
    object is then a `SharedConnections`."""
    holds_sockets: bool = False
    """Of connections: they are the sockets of this process's own server, so that `streamer run` can serve them. The
    object is then a `PeerRegistry`, too."""
    claims_by_key: bool = False
    """Of a store: the object is a `WokenQueue`."""
    operator: Factory | None = None
    """Of a store: makes the object that `streamer requests` looks through and changes single requests with, while a
    service may be running. A store for several processes needs none: its own factory does."""
    provision: Provision | None = None
    """What `streamer backend check | create | migrate | delete` works on. None: there is nothing to provide."""

    # Of handlers only: defaults that an action in the file may override.
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the payload."""
    result_schema: Mapping[str, Any] | None = None
    estimated_duration: str | None = None
    """A duration with its unit, as in the file."""
    description: str = ""

    # Filled in when the component is registered; a plugin leaves them alone.
    namespace: str = ""
    distribution: str = "streamer-router"
    version: str = ""

    @property
    def full_name(self) -> str:
        """The name that the file uses."""
        return f"{self.namespace}.{self.name}" if self.namespace and self.prefixed else self.name

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The names of what a store or connections declare that they can do, for listings and docs."""
        declared = ("several_processes", "holds_sockets", "claims_by_key", "operator", "provision")
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
    """A handler component of a class or a function.

    Args:
        name: what the file calls it, after the plugin's prefix.
        target: a class whose instances are handlers (made with the options as keyword arguments); or a function
            `f(request, **options)`: an `async def` runs on the loop, a plain `def` in a thread, one that is
            `cpu_bound` in a process of its own pool (it and what it takes and returns must be picklable).
        summary: one line; the target's docstring's first when empty.
        options: JSON Schema of the options object; none are allowed when left out. A property with `format: path`
            reaches the target as an absolute `pathlib.Path`, resolved as `BuildContext.path` does; so does each
            item of an array whose `items` say so.
        schema: JSON Schema of the payload, the default of actions that name none.
        result_schema: JSON Schema of the result's data.
        estimated_duration: such as `"200ms"`; the default of actions that name none.
        description: for the people who call it.
        cpu_bound: run the function in a process.
        stability: what may change.
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
    """A plain function that the runtime makes a handler of."""

    function: Callable[..., Any]
    options: dict[str, Any]
    cpu_bound: bool = False
