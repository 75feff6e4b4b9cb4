"""`streamer tables`: the DynamoDB tables of a service that keeps its requests there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from streamer.cli.exits import FAILED
from streamer.cli.options import config_option, examples
from streamer.cli.output import note, say
from streamer.core.printable import printable

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
    for name, made in _with_tables(config_path, lambda tables, *about: tables.create(*about)):
        say(f"{name} is made" if made else f"{name} is there already")


@command.command("check", epilog=examples("streamer tables check", "streamer tables check && streamer run"))
@config_option
def check(*, config_path: Path) -> None:
    """Say whether the tables are as this version needs them; every difference at once.

    The exit status is 1 when something is wrong.
    """
    wrong = False
    for name, problems in _with_tables(config_path, lambda tables, *about: tables.check(*about)):
        for problem in problems:
            note(f"{name}: {problem}")
        if not problems:
            say(f"{name} is as it must be")
        wrong = wrong or bool(problems)
    if wrong:
        raise click.exceptions.Exit(FAILED)


@command.command("delete", epilog=examples("streamer tables delete", "streamer tables delete --yes"))
@config_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(*, config_path: Path, yes: bool) -> None:
    """Delete the tables, with every request and result in them."""
    if not yes:
        names = [definition["TableName"] for _, definition in _tables(config_path)]
        click.confirm(f"Delete {printable(', '.join(names))}, with every request and result in it?", abort=True)
    deleting = _with_tables(
        config_path, lambda tables, client, definition, clock: tables.delete(client, definition["TableName"], clock)
    )
    for name, deleted in deleting:
        say(f"{name} is deleted" if deleted else f"{name} was not there")


def _tables(config_path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Of each table: the options of the component that keeps it, and its definition."""
    from streamer.cli.reading import read
    from streamer.connections.apigateway import component as apigateway
    from streamer.stores.dynamodb import component as dynamodb

    backends = read(config_path)[0].backends
    found = []
    for use, name, component in (
        (backends.store, "dynamodb", dynamodb),
        (backends.connections, "apigateway", apigateway),
    ):
        if use.name == name:
            options = dict(use.options)
            found += [(options, definition) for definition in component.definitions(options)]
    if not found:
        raise click.ClickException(
            f"{config_path}: the store is {backends.store.name!r}, which needs no tables; they belong to "
            "'backends: {store: {use: dynamodb}}'"
        )
    return found


def _with_tables(config_path: Path, work: Callable[..., Coroutine[Any, Any, Answer]]) -> list[tuple[str, Answer]]:
    """Each table's name, and what the work returns, given the module with the operations and what they are about."""
    import asyncio

    from streamer.core.clock import SystemClock
    from streamer.stores.dynamodb.component import client_of

    found = _tables(config_path)

    async def run() -> list[tuple[str, Answer]]:
        answers = []
        for options, definition in found:
            async with client_of(options) as client:
                # Only now: without aiobotocore it cannot be imported, and that has been said by here.
                from streamer.dynamodb import tables

                answers.append((definition["TableName"], await work(tables, client, definition, SystemClock())))
        return answers

    return asyncio.run(run())
