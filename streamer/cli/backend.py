"""`streamer backend`: what the file's backends need before a service starts, such as tables or a file."""

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
    short_help="Check, make, upgrade and delete what the backends need.",
    epilog=examples("streamer backend create", "streamer backend check", "streamer backend delete --yes"),
)
def command() -> None:
    """Check, make, upgrade and delete what the backends of the configuration file need: the tables of a database, or a
    database file. 'streamer list --json' says which backends have such things ("provision").
    """


@command.command("check", epilog=examples("streamer backend check", "streamer backend check && streamer run"))
@config_option
def check(*, config_path: Path) -> None:
    """Say whether this version can use what exists; every problem at once. It changes nothing.

    The exit status is 1 when something is wrong.
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
    """Make what does not exist yet, and wait until it can be used.

    What exists already is left as it is; 'streamer backend check' says whether it fits.
    """
    for name, made in _each(config_path, lambda resource: resource.create()):
        say(f"{name} is made" if made else f"{name} exists already")


@command.command("migrate", epilog=examples("streamer backend migrate", "streamer backend migrate && streamer run"))
@config_option
def migrate(*, config_path: Path) -> None:
    """Bring what an earlier version made up to this version.

    Requests and results are kept. Stop the service and make a backup first.
    """
    for name, changes in _each(config_path, lambda resource: resource.migrate()):
        for change in changes:
            say(f"{name}: {change}")
        if not changes:
            say(f"{name} is up to date")


@command.command("delete", epilog=examples("streamer backend delete", "streamer backend delete --yes"))
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(*, config_path: Path, yes: bool) -> None:
    """Delete it, with every request and result in it."""

    def confirm(names: list[str]) -> None:
        if not yes:
            click.confirm(f"Delete {printable(', '.join(names))}, with every request and result in it?", abort=True)

    for name, deleted in _each(config_path, lambda resource: resource.delete(), confirm):
        say(f"{name} is deleted" if deleted else f"{name} did not exist")


def _each(
    config_path: Path,
    work: Callable[[Resource], Awaitable[Answer]],
    confirm: Callable[[list[str]], None] = lambda _names: None,
) -> list[tuple[str, Answer]]:
    """The name of each resource of the file's backends, and what the work on it returned.

    Raises:
        click.ClickException: the backends have nothing of the kind.
    """
    import asyncio
    import contextlib

    from streamer.cli.reading import read
    from streamer.contracts.components import Kind
    from streamer.runtime.building import build_context, naming

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
                    f"{config_path}: the store {store!r} and the connections {connections!r} need nothing that must "
                    "be made before a start"
                )
            confirm([resource.name for resource in resources])
            return [(resource.name, await work(resource)) for resource in resources]

    return asyncio.run(run())
