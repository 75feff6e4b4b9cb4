"""`streamer backend`: manages the resources that the configured backends need before a service starts, such as tables
or a database file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from streamer.cli.exits import FAILED
from streamer.cli.options import config_option, examples
from streamer.cli.output import note, say
from streamer.core.printable import printable

if TYPE_CHECKING:
    from streamer.contracts.provisioning import Resource

Answer = TypeVar("Answer")


@click.group(
    short_help="Check, create, migrate and delete the resources of the backends.",
    epilog=examples("streamer backend create", "streamer backend check", "streamer backend delete --yes"),
)
def command() -> None:
    """Check, create, migrate and delete the resources that the configured backends need, such as the tables of a
    database or a database file. In the output of 'streamer list --json', "provision" marks the components that have
    such resources.
    """


@command.command("check", epilog=examples("streamer backend check", "streamer backend check && streamer run"))
@config_option
def check(*, config_path: Path) -> None:
    """Check whether this version can use the existing resources, and list every problem. Nothing is changed.

    The exit status is 1 if there is a problem.
    """
    wrong = False
    for name, problems in _each(config_path, lambda resource: resource.check()):
        for problem in problems:
            note(f"{name}: {problem}")
        if not problems:
            say(f"{name} is ready")
        wrong = wrong or bool(problems)
    if wrong:
        raise click.exceptions.Exit(FAILED)


@command.command("create", epilog=examples("streamer backend create", "streamer backend create -c production.yaml"))
@config_option
def create(*, config_path: Path) -> None:
    """Create the missing resources, and wait until they can be used.

    Existing resources are not changed; 'streamer backend check' shows whether this version can use them.
    """
    for name, made in _each(config_path, lambda resource: resource.create()):
        say(f"{name}: created" if made else f"{name}: already exists")


@command.command("migrate", epilog=examples("streamer backend migrate", "streamer backend migrate && streamer run"))
@config_option
def migrate(*, config_path: Path) -> None:
    """Upgrade resources that an earlier version created.

    Requests and results are kept. Stop the service and make a backup first.
    """
    for name, changes in _each(config_path, lambda resource: resource.migrate()):
        for change in changes:
            say(f"{name}: {change}")
        if not changes:
            say(f"{name} is up to date")


@command.command("delete", epilog=examples("streamer backend delete", "streamer backend delete --yes"))
@config_option
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
def delete(*, config_path: Path, yes: bool) -> None:
    """Delete the resources, with every request and result in them."""

    def confirm(names: list[str]) -> None:
        if not yes:
            click.confirm(f"Delete {printable(', '.join(names))}, with every request and result in it?", abort=True)

    for name, deleted in _each(config_path, lambda resource: resource.delete(), confirm):
        say(f"{name}: deleted" if deleted else f"{name}: did not exist")


def _each(
    config_path: Path,
    work: Callable[[Resource], Awaitable[Answer]],
    confirm: Callable[[list[str]], None] = lambda _names: None,
) -> list[tuple[str, Answer]]:
    """The name of each resource of the configured backends, with the result of the operation on it.

    Raises:
        click.ClickException: the backends have no such resources.
    """
    import asyncio
    import contextlib

    from streamer.cli.config_file import read
    from streamer.contracts.components import Kind
    from streamer.runtime.component_factory import build_context, naming

    settings, registry = read(config_path)
    context = build_context(settings, registry.components)
    used = [(Kind.STORE, settings.backends.store), (Kind.CONNECTIONS, settings.backends.connections)]

    async def run() -> list[tuple[str, Answer]]:
        resources: list[Resource] = []
        async with contextlib.AsyncExitStack() as stack:
            for kind, use in used:
                component = registry.components[kind, use.name]
                if component.provision is not None:
                    with naming(component):
                        resources += await stack.enter_async_context(component.provision(use.options, context))
            if not resources:
                store, connections = (use.name for _, use in used)
                raise click.ClickException(
                    f"{config_path}: the store {store!r} and the connections {connections!r} have no resources to "
                    "create before a start"
                )
            confirm([resource.name for resource in resources])
            return [(resource.name, await work(resource)) for resource in resources]

    return asyncio.run(run())
