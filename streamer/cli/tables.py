"""`streamer tables`: the DynamoDB tables of a service that keeps its requests there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from streamer.cli.exits import FAILED
from streamer.cli.options import config_option, examples

Answer = TypeVar("Answer")


@click.group(
    short_help="Make, check and delete the tables of a service on DynamoDB.",
    epilog=examples("streamer tables create", "streamer tables check", "streamer tables delete --yes"),
)
def command() -> None:
    """Make, check and delete the tables of a service whose requests are kept in DynamoDB.

    They are in the region that the store's options name, or AWS_REGION, under the credentials that the AWS tools use.
    """


@command.command("create", epilog=examples("streamer tables create", "streamer tables create --config aws.yaml"))
@config_option
def create(*, config_path: Path) -> None:
    """Make the tables, and wait until they can be used: billed by request, with their indexes, stream and TTL.

    A table that is there already is left as it is; 'streamer tables check' says whether it fits.
    """
    name, made = _with_table(config_path, lambda tables, *about: tables.create(*about))
    click.echo(f"{name} is made" if made else f"{name} is there already")


@command.command("check", epilog=examples("streamer tables check", "streamer tables check && streamer run"))
@config_option
def check(*, config_path: Path) -> None:
    """Say whether the tables are as this version needs them; every difference at once.

    The exit status is 1 when something is wrong.
    """
    name, problems = _with_table(config_path, lambda tables, *about: tables.check(*about))
    for problem in problems:
        click.echo(f"{name}: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(FAILED)
    click.echo(f"{name} is as it must be")


@command.command("delete", epilog=examples("streamer tables delete", "streamer tables delete --yes"))
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(*, config_path: Path, yes: bool) -> None:
    """Delete the tables, with every request and result in them."""
    from streamer.stores.dynamodb.component import table_name

    name = table_name(_options(config_path))
    if not yes:
        click.confirm(f"Delete {name}, with every request and result in it?", abort=True)
    _, deleted = _with_table(config_path, lambda tables, *about: tables.delete(*about))
    click.echo(f"{name} is deleted" if deleted else f"{name} was not there")


def _options(config_path: Path) -> dict[str, Any]:
    from streamer.cli.reading import read

    settings, _ = read(config_path)
    use = settings.backends.store
    if use.name != "dynamodb":
        raise click.ClickException(
            f"{config_path}: the store is {use.name!r}, which needs no tables; they belong to "
            "'backends: {store: {use: dynamodb}}'"
        )
    return dict(use.options)


def _with_table(config_path: Path, work: Callable[..., Coroutine[Any, Any, Answer]]) -> tuple[str, Answer]:
    """The table's name, and what the work returns, given the module with the operations and what they are about."""
    import asyncio

    from streamer.core.clock import SystemClock
    from streamer.stores.dynamodb.component import client_of, table_name

    options = _options(config_path)
    name = table_name(options)

    async def run() -> Answer:
        async with client_of(options) as client:
            # Only now: without aiobotocore it cannot be imported, and that has been said by here.
            from streamer.dynamodb import tables

            return await work(tables, client, name, SystemClock())

    return name, asyncio.run(run())
