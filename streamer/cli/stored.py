"""Opens the store of a configuration file, also while a service uses it, and formats records as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from streamer.core.clock import timestamp

if TYPE_CHECKING:
    from streamer.contracts.stores import RequestQueue
    from streamer.core.attempts import Attempt, Cause
    from streamer.core.messages import ErrorBody
    from streamer.core.principal import Principal
    from streamer.core.records import RequestRecord
    from streamer.core.summaries import RequestSummary

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


def summary(record: RequestRecord | RequestSummary) -> dict[str, Any]:
    """A request as a listing shows it, as JSON values."""
    return {
        "id": record.id,
        "owner": record.owner,
        "action": record.action,
        "status": record.status.value,
        "attempts": record.attempts,
        "max_attempts": record.max_attempts,
        "percentage": record.percentage,
        "message": record.message,
        "error": _error(record.error),
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at),
        "finished_at": _time(record.finished_at),
        "delivered_at": _time(record.delivered_at),
    }


def whole(record: RequestRecord) -> dict[str, Any]:
    """Everything that is stored about a request, as JSON values."""
    return {
        **summary(record),
        "started_at": _time(record.started_at),
        "due_at": _time(record.due_at),
        "priority": record.priority,
        "worker": record.worker,
        "fence": record.fence,
        "seq": record.seq,
        "connection_id": record.connection_id,
        "address": record.address,
        "principal": _principal(record.principal),
        "expires_at": _time(record.expires_at),
        "history": [_attempt(one) for one in record.history],
        "metadata": record.metadata,
        "progress_metadata": _json(record.progress_metadata),
        "payload": _json(record.payload),
        "result": _json(record.result),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "fence": attempt.fence,
        "worker": attempt.worker,
        "started_at": timestamp(attempt.started_at),
        "ended_at": timestamp(attempt.ended_at),
        "outcome": attempt.outcome.value,
        "error": _error(attempt.error),
        "cause": _cause(attempt.cause),
    }


def _cause(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    # Lines, so that it is readable in the output.
    return {"type": cause.type, "text": cause.text, "traceback": cause.traceback.splitlines()}


def _principal(principal: Principal | None) -> dict[str, Any] | None:
    if principal is None:
        return None
    return {
        "user_id": principal.user_id,
        "tenant_id": principal.tenant_id,
        "permissions": sorted(principal.permissions),
        "expires_at": _time(principal.expires_at),
        "claims": principal.claims,
    }


def _error(error: ErrorBody | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "retryable": error.retryable, "details": error.details}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def _json(text: bytes) -> Any:
    return json.loads(text) if text else None
