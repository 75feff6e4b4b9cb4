"""Requests in the store, for operators: listed, shown, cancelled and retried. Runs on the service's event loop."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from streamer.contracts.stores import Key, RequestQueue
from streamer.core.errors import NOT_FOUND, Error
from streamer.core.record_json import summary, whole
from streamer.core.records import RequestRecord, Status

MAX_BODY: Final = 64 * 1024
"""Bytes of a payload or result, and of the metadata; a larger one is left out, and its size is given."""
BODIES: Final = ("payload", "result")

Cancel = Callable[[Key, str], Awaitable[RequestRecord]]


class SeveralOwners(Exception):
    """Several owners have a request with this id.

    Args:
        owners: who they are.
    """

    def __init__(self, owners: list[str]) -> None:
        super().__init__("several owners have a request with this id; choose one with ?owner=")
        self.owners = owners


class StoredRequests:
    """What operators may do with stored requests.

    Args:
        store: of the service.
        cancel: ends a request, queued or running.
        wake: says that there may be something to run.
        logger: gets a line for each change.
    """

    def __init__(self, store: RequestQueue, cancel: Cancel, wake: Callable[[], None], logger: Any) -> None:
        self._store = store
        self._cancel = cancel
        self._wake = wake
        self._logger = logger

    async def page(
        self, *, owner: str | None, status: Status | None, action: str | None, limit: int, cursor: str | None
    ) -> dict[str, Any]:
        """One page, newest first.

        Raises:
            Error: the cursor is not one of the store's.
        """
        page = await self._store.list(owner=owner, status=status, action=action, limit=limit, cursor=cursor)
        return {"requests": [summary(one) for one in page.requests], "cursor": page.cursor}

    async def show(self, request_id: str, owner: str | None, bodies: frozenset[str]) -> dict[str, Any]:
        """Everything about one request; payload and result only if they are asked for and not too large.

        Raises:
            Error: NOT_FOUND.
            SeveralOwners: and none was chosen.
        """
        record = await self._store.get(await self._key(request_id, owner))
        if record is None:
            raise _not_found(request_id)
        sizes = {name: len(body) for name, body in (("payload", record.payload), ("result", record.result))}
        hidden: dict[str, bytes] = {name: b"" for name, size in sizes.items() if name not in bodies or size > MAX_BODY}
        shown = whole(msgspec.structs.replace(record, **hidden))
        for name in hidden:
            del shown[name]
        for name, size in sizes.items():
            shown[f"{name}_bytes"] = size
        if len(json.dumps(shown["metadata"])) > MAX_BODY:
            shown["metadata"] = None
        return shown

    async def cancel(self, request_id: str, owner: str | None, message: str) -> dict[str, Any]:
        """Ends a request, queued or running.

        Raises:
            Error: NOT_FOUND.
            SeveralOwners: and none was chosen.
            TransitionRefused: it has already ended.
        """
        record = await self._cancel(await self._key(request_id, owner), message)
        self._logger.info("an operator cancelled a request", request_id=record.id, owner=record.owner)
        return summary(record)

    async def retry(self, request_id: str, owner: str | None) -> dict[str, Any]:
        """Runs a failed or cancelled request again.

        Raises:
            Error: NOT_FOUND.
            SeveralOwners: and none was chosen.
            TransitionRefused: it is in another state.
        """
        record = await self._store.requeue(await self._key(request_id, owner))
        self._wake()
        self._logger.info("an operator queued a request again", request_id=record.id, owner=record.owner)
        return summary(record)

    async def _key(self, request_id: str, owner: str | None) -> Key:
        if owner is not None:
            return (owner, request_id)
        found = await self._store.find(request_id)
        if not found:
            raise _not_found(request_id)
        if len(found) > 1:
            raise SeveralOwners(sorted(one.owner for one in found))
        return found[0].key


def _not_found(request_id: str) -> Error:
    return Error(NOT_FOUND, f"no request {request_id!r} in this store")
