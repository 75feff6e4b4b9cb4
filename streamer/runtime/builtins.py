"""The built-in components, offered through the hooks that plugins use. What a component needs is imported on use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from streamer.auth import options as auth_options
from streamer.contracts.components import BuildContext, Component, Kind, OptionProblem
from streamer.contracts.provisioning import Resource
from streamer.core.units import parse_duration, parse_size
from streamer.handlers import options as handler_options
from streamer.plugins.hookspecs import hookimpl
from streamer.stores import options as store_options

Options = Mapping[str, Any]


@hookimpl
def streamer_handlers() -> list[Component]:
    """Handlers for trying out the service, and two that need no Python code."""
    return [
        Component(
            kind=Kind.HANDLER,
            name="echo",
            factory=_echo,
            summary="Sends the payload back",
            description="Sends the payload back, with the action's name and the time.",
            immediate=True,
            estimated_duration="10ms",
        ),
        Component(
            kind=Kind.HANDLER,
            name="delay",
            factory=_delay,
            summary="Waits and reports progress in ten steps, in place of long work",
            description="Waits for a fixed time and reports progress in ten steps.",
            options=handler_options.DELAY,
        ),
        Component(
            kind=Kind.HANDLER,
            name="validation_example",
            factory=_validation_example,
            summary="Greets a name and an email; shows validation in Python",
            description="Greets the person with this name and email.",
            estimated_duration="50ms",
        ),
        Component(
            kind=Kind.HANDLER,
            name="command",
            factory=_command,
            summary="Runs a program: payload on stdin, progress and result as JSON lines on stdout",
            options=handler_options.COMMAND,
            check_machine=_check_command,
            estimated_duration="1s",
        ),
        Component(
            kind=Kind.HANDLER,
            name="http",
            factory=_http,
            summary="Forwards the payload to an HTTP endpoint; a streamed answer becomes progress",
            options=handler_options.HTTP,
            check=_check_http,
            estimated_duration="500ms",
        ),
    ]


@hookimpl
def streamer_middlewares() -> list[Component]:
    """The middlewares of `streamer.middlewares`."""
    from streamer.middlewares.components import components  # noqa: PLC0415 - imported when they are asked for

    return components()


@hookimpl
def streamer_backends() -> list[Component]:
    """Two stores, and the connections of one process."""
    return [
        Component(
            kind=Kind.STORE,
            name="memory",
            factory=_memory,
            summary="Keeps requests in memory: for tests; a restart loses them",
        ),
        Component(
            kind=Kind.STORE,
            name="sqlite",
            factory=_sqlite,
            summary="Keeps requests durably in one SQLite file, for one service",
            options=store_options.SQLITE,
            check_machine=_check_sqlite,
            operator=_sqlite_operator,
            provision=_sqlite_file,
        ),
        Component(
            kind=Kind.CONNECTIONS,
            name="local",
            factory=_local,
            summary="Connections of this process's own server",
            holds_sockets=True,
        ),
    ]


@hookimpl
def streamer_commands() -> list[Component]:
    """Two exports for monitoring."""
    return [
        Component(
            kind=Kind.EXPORT,
            name="prometheus-rules",
            factory=_prometheus_rules,
            summary="Alerting rules for Prometheus, for the metrics of the admin port",
        ),
        Component(
            kind=Kind.EXPORT,
            name="grafana",
            factory=_grafana,
            summary="A dashboard for Grafana, for the metrics of the admin port",
        ),
    ]


@hookimpl
def streamer_auth() -> list[Component]:
    """No authentication, and tokens."""
    return [
        Component(
            kind=Kind.AUTH,
            name="none",
            factory=_no_auth,
            summary="Lets every client connect; requests belong to its client_id, or else to its connection",
            options=auth_options.NONE,
        ),
        Component(
            kind=Kind.AUTH,
            name="jwt",
            factory=_jwt,
            check=_check_jwt,
            summary="Lets clients connect with a JSON Web Token that is signed by one of the configured keys",
            options=auth_options.JWT,
        ),
    ]


def _prometheus_rules(_options: Options, _context: BuildContext) -> Any:
    from streamer.admin.exports import prometheus_rules  # noqa: PLC0415 - only who asks for it pays for it

    return prometheus_rules


def _grafana(_options: Options, _context: BuildContext) -> Any:
    from streamer.admin.exports import grafana  # noqa: PLC0415 - as above

    return grafana


def _echo(_options: Options, context: BuildContext) -> Any:
    from streamer.handlers.echo import EchoHandler  # noqa: PLC0415 - imported when it is used, as all below

    return EchoHandler(clock=context.clock)


def _delay(options: Options, context: BuildContext) -> Any:
    from streamer.handlers.delay import DelayHandler  # noqa: PLC0415 - as above

    return DelayHandler(parse_duration(options.get("delay", "300ms")), clock=context.clock)


def _validation_example(_options: Options, _context: BuildContext) -> Any:
    from streamer.handlers.validation_example import ValidationExampleHandler  # noqa: PLC0415 - as above

    return ValidationExampleHandler()


def _command(options: Options, context: BuildContext) -> Any:
    from streamer.handlers import command  # noqa: PLC0415 - as above

    return command.build(options, context)


def _check_command(options: Options, context: BuildContext) -> Iterable[OptionProblem]:
    from streamer.handlers import command_options  # noqa: PLC0415 - as above

    return command_options.problems(options, context)


def _http(options: Options, context: BuildContext) -> AbstractAsyncContextManager[Any]:
    from streamer.handlers import http  # noqa: PLC0415 - as above; aiohttp alone costs more than all the rest

    return http.build(options, context)


def _check_http(options: Options, _context: BuildContext) -> Iterable[OptionProblem]:
    from streamer.handlers import http_options  # noqa: PLC0415 - as above

    return http_options.problems(options)


@asynccontextmanager
async def _memory(_options: Options, context: BuildContext) -> AsyncIterator[Any]:
    from streamer.stores.memory import MemoryStore  # noqa: PLC0415 - as above

    store = MemoryStore(clock=context.clock, **_bounds(context))
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _sqlite(options: Options, context: BuildContext) -> AsyncIterator[Any]:
    from streamer.stores.sqlite import SqliteStore  # noqa: PLC0415 - as above

    path = context.path(options["path"])
    sizes: dict[str, Any] = {
        name: parse_size(options[name]) for name in ("max_pending", "max_reading") if name in options
    }
    store = await SqliteStore.open(
        path,
        clock=context.clock,
        warn=context.logger.warning,
        on_trouble=lambda trouble: context.health.report("store", trouble),
        **sizes,
        **_bounds(context),
    )
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _sqlite_operator(options: Options, context: BuildContext) -> AsyncIterator[Any]:
    from streamer.stores.sqlite import SqliteStore  # noqa: PLC0415 - as above

    store = await SqliteStore.open(context.path(options["path"]), clock=context.clock, operator=True)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _sqlite_file(options: Options, context: BuildContext) -> AsyncIterator[Sequence[Resource]]:
    from streamer.stores.sqlite.provisioning import DatabaseFile  # noqa: PLC0415 - as above

    yield [DatabaseFile(context.path(options["path"]))]


def _check_sqlite(options: Options, context: BuildContext) -> Iterable[OptionProblem]:
    from streamer.stores.sqlite import file_check  # noqa: PLC0415 - as above

    return file_check.problems(options, context)


def _local(_options: Options, _context: BuildContext) -> Any:
    from streamer.connections.local import LocalConnections  # noqa: PLC0415 - as above

    return LocalConnections()


def _no_auth(_options: Options, _context: BuildContext) -> None:
    """No authenticator: a connection is identified by its id or its `client_id`."""


def _jwt(options: Options, context: BuildContext) -> AbstractAsyncContextManager[Any]:
    from streamer.auth import factory  # noqa: PLC0415 - as above; cryptography costs a tenth of a second

    return factory.build(options, context)


def _check_jwt(options: Options, context: BuildContext) -> Iterable[OptionProblem]:
    from streamer.auth import option_problems  # noqa: PLC0415 - as above

    return option_problems.problems(options, context)


def _bounds(context: BuildContext) -> dict[str, Any]:
    from streamer.config.settings import WorkerSettings  # noqa: PLC0415 - as above; the package reads YAML and schemas

    worker: WorkerSettings = WorkerSettings() if context.settings is None else context.settings.worker
    anybody = context.settings is None or context.settings.auth.name == "none"
    return {
        "max_queued": worker.max_queued,
        "max_queued_per_owner": worker.share_of_owner,
        # With tokens, users are known, and many users of one company may share an address.
        "max_queued_per_address": worker.share_of_address if anybody else None,
    }
