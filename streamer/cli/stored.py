"""Opens the store of a configuration file, also while a service uses it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from streamer.core.record_json import summary, whole

if TYPE_CHECKING:
    from streamer.contracts.stores import RequestQueue
    from streamer.core.records import RequestRecord
    from streamer.core.summaries import RequestSummary

__all__ = ["find_one", "newest", "open_store", "summary", "whole", "with_store"]

Found = TypeVar("Found")
_PAGE: Final = 200


@contextlib.asynccontextmanager
async def open_store(config_path: Path) -> AsyncIterator[RequestQueue]:
    """The store that the file names.

    Raises:
        ConfigError: the file is invalid.
        StoreError: the store cannot be opened.
        click.ClickException: other processes cannot open the store.
    """
    from streamer.cli.config_file import read
    from streamer.contracts.components import Kind
    from streamer.runtime.component_factory import build, build_context

    settings, registry = read(config_path)
    use = settings.backends.store
    context = build_context(settings, registry.components)
    component = registry.components[Kind.STORE, use.name]
    if component.operator is not None:
        component = replace(component, factory=component.operator)
    elif not component.several_processes:
        raise click.ClickException(
            f"{config_path}: the store {use.name!r} belongs to the process of the service; no other process can open it"
        )
    async with contextlib.AsyncExitStack() as stack:
        yield await build(stack, component, use.options, context)


def with_store(config_path: Path, work: Callable[[RequestQueue], Coroutine[Any, Any, Found]]) -> Found:
    """The result of `work`, called with the store that the file names; raises as `open_store`."""

    async def run() -> Found:
        async with open_store(config_path) as store:
            return await work(store)

    return asyncio.run(run())


async def newest(store: RequestQueue, limit: int, **filters: Any) -> list[RequestSummary]:
    """Up to `limit` requests, newest first, read in as many pages as needed."""
    found: list[RequestSummary] = []
    cursor: str | None = None
    while True:
        page = await store.list(limit=min(limit - len(found), _PAGE), cursor=cursor, **filters)
        found += page.requests
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            return found


async def find_one(store: RequestQueue, request_id: str, owner: str | None) -> RequestRecord:
    """The record with this id.

    Raises:
        click.ClickException: there is none.
        click.UsageError: several owners have one, and no owner was given.
    """
    whose = "" if owner is None else f" of the owner {owner!r}"
    if owner is None:
        found = await store.find(request_id)
        if len(found) > 1:
            owners = ", ".join(sorted(summary.owner for summary in found))
            raise click.UsageError(f"several owners have a request {request_id!r}; choose one with --owner: {owners}")
        owner = found[0].owner if found else ""
    record = await store.get((owner, request_id))
    if record is None:
        raise click.ClickException(f"no request {request_id!r}{whose} in this store")
    return record
