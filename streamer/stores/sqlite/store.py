"""The loop's side of the SQLite store."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from streamer.children import Child
from streamer.contracts.stores import Claims, Key, Lease, Page
from streamer.core import errors
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import LeaseLost, StoreError, StoreUnavailable, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status
from streamer.stores.common import decode_cursor, encode_cursor, not_found, queue_full
from streamer.stores.sqlite.operations import FULL, LOST, NOT_FOUND, NUMBERS
from streamer.stores.sqlite.rows import encode_error, to_record, to_row
from streamer.stores.sqlite.writer import BROKEN, REFUSED

RESPAWN_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0)
"""Seconds before each try to replace a dead writer; after the last the store has failed."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Operation:
    """One operation under way."""

    __slots__ = ("answer", "arguments", "kind", "now", "number")

    def __init__(self, number: int, kind: int, now: float, arguments: tuple[Any, ...], answer: Any) -> None:
        self.number = number
        self.kind = kind
        self.now = now
        self.arguments = arguments
        self.answer = answer


class SqliteStore:
    """Part of `RequestQueue`, durable: WAL with `synchronous=FULL`, all callers of a moment in one commit.

    Made by `open`. The writer process ends with this object, or with the process that made it, however that dies. If
    the writer itself dies it is replaced, and whatever it had not answered is sent again; each operation carries a
    name, so that one that was already done is found and not done twice.
    """

    def __init__(self, path: Path, *, clock: Clock, max_queued: int, operator: bool) -> None:
        self._path = path
        self._clock = clock
        self._max_queued = max_queued
        self._operator = operator
        self._session = secrets.token_hex(8)
        self._number = 0
        self._pending: dict[int, _Operation] = {}
        self._outbox: list[Any] = []
        self._child: Child | None = None
        self._opened: asyncio.Future[Any] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._closed = False
        self._failure: StoreUnavailable | None = None
        self._failed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(
        cls, path: str | Path, *, clock: Clock | None = None, max_queued: int = 100_000, operator: bool = False
    ) -> Self:
        """Opens the file, creating it if need be, and takes it for this service alone.

        Args:
            path: the SQLite file; beside it live `-wal`, `-shm` and `.lock`.
            clock: time.
            max_queued: how many records may wait; one more is OVERLOADED.
            operator: open an existing file beside the service that may own it, for looking and for single changes:
                no lock is taken, and nothing of a running service is disturbed.

        Raises:
            StoreInUse: another service has the file.
            StoreTooNew: a newer version wrote it.
            StoreError: it cannot be opened, or is not one of ours.
        """
        store = cls(Path(path).absolute(), clock=clock or SystemClock(), max_queued=max_queued, operator=operator)
        await store._start(recover=True)
        return store

    @property
    def writer_pid(self) -> int:
        """Process id of the writer."""
        assert self._child is not None
        return self._child.pid

    async def enqueue(self, record: RequestRecord, /) -> RequestRecord | None:
        """Part of `RequestQueue`."""
        answer = await self._do("enqueue", to_row(record))
        if answer == FULL:
            raise queue_full(self._max_queued)
        return None if answer is None else to_record(answer)

    async def claim(
        self, worker: str, limit: int, lease: float, *, headroom: Mapping[str, int] | None = None
    ) -> Claims:
        """Part of `RequestQueue`."""
        answer = await self._do("claim", worker, limit, lease, headroom and dict(headroom))
        taken, abandoned, next_due, foreign = answer
        return Claims([to_record(row) for row in taken], [to_record(row) for row in abandoned], next_due, foreign)

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        """Part of `RequestQueue`."""
        return [Lease(*held) for held in await self._do("renew", list(leases), lease)]

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        """Part of `RequestQueue`."""
        _held(claim, await self._do("update_progress", claim, seq, percentage, message, metadata))

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes) -> None:
        """Part of `RequestQueue`."""
        _held(claim, await self._do("complete", claim, seq, result))

    async def fail(self, claim: Lease, /, *, seq: int, error: ErrorBody, retry_at: float | None = None) -> None:
        """Part of `RequestQueue`."""
        _held(claim, await self._do("fail", claim, seq, encode_error(error), retry_at))

    async def release(self, leases: Sequence[Lease], /) -> None:
        """Part of `RequestQueue`."""
        await self._do("release", list(leases))

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        """Part of `RequestQueue`."""
        return _known(key, await self._do("cancel", *key, message))

    async def requeue(self, key: Key, /) -> RequestRecord:
        """Part of `RequestQueue`."""
        return _known(key, await self._do("requeue", *key))

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        """Part of `RequestQueue`."""
        await self._do("mark_delivered", list(keys))

    async def unsettled(self, owner: str, /, limit: int = 1000) -> Sequence[RequestRecord]:
        """Part of `RequestQueue`."""
        return [to_record(row) for row in await self._do("unsettled", owner, limit)]

    async def get(self, key: Key, /) -> RequestRecord | None:
        """Part of `RequestQueue`."""
        row = await self._do("get", *key)
        return None if row is None else to_record(row)

    async def find(self, id: str, /) -> list[RequestRecord]:  # noqa: A002 - the contract's name
        """Part of `RequestQueue`."""
        return [to_record(row) for row in await self._do("find", id)]

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Part of `RequestQueue`."""
        before = None if cursor is None else decode_cursor(cursor)
        rows, last = await self._do("list_records", owner, status and status.value, action, limit, before)
        return Page([to_record(row) for row in rows], None if last is None else encode_cursor(*last))

    async def counts(self) -> dict[Status, int]:
        """Part of `RequestQueue`."""
        return {**dict.fromkeys(Status, 0), **{Status(name): n for name, n in (await self._do("counts")).items()}}

    async def purge(self, finished_before: float, /) -> int:
        """Part of `RequestQueue`. In slices, so that other writes go between."""
        purged = 0
        while slice_ := await self._do("purge", finished_before):
            purged += slice_
        return purged

    async def failed(self) -> None:
        """Part of `RequestQueue`."""
        await self._failed.wait()

    async def close(self) -> None:
        """Part of `RequestQueue`."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        if self._mending is not None:
            self._mending.cancel()
        if self._child is not None:
            await self._child.close()
        self._give_up(StoreUnavailable("the store is closed"))

    # The writer and what is on its way to it

    async def _do(self, name: str, *arguments: Any) -> Any:
        if self._closed or self._failure is not None:
            raise self._failure or StoreUnavailable("the store is closed")
        self._number += 1
        operation = _Operation(self._number, NUMBERS[name], self._clock.now(), arguments, self._loop.create_future())
        self._pending[operation.number] = operation
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(self._wire(operation, again=False))
        return await operation.answer

    def _wire(self, operation: _Operation, *, again: bool) -> tuple[Any, ...]:
        token = f"{self._session}-{operation.number}"
        return (operation.number, operation.kind, token, again, operation.now, operation.arguments)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        # While the writer is being replaced nothing is sent: all that is pending goes to the new one.
        if outbox and self._mending is None and self._child is not None:
            self._child.send(_encode(outbox))

    def _received(self, message: bytes) -> None:
        answers = _decode(message)
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened.set_result(answers)
            return
        for number, outcome, value in answers:
            operation = self._pending.pop(number, None)
            if operation is None or operation.answer.done():
                continue
            if outcome == REFUSED:
                operation.answer.set_exception(TransitionRefused(value))
            elif outcome == BROKEN:
                operation.answer.set_exception(StoreUnavailable(f"{self._path} could not be written: {value}"))
            else:
                operation.answer.set_result(value)

    async def _start(self, *, recover: bool) -> None:
        opened = self._opened = self._loop.create_future()
        self._child = Child("streamer.stores.sqlite.writer:main", on_message=self._received, on_exit=self._died)
        await self._child.start()
        options = {
            "path": str(self._path),
            "max_queued": self._max_queued,
            "operator": self._operator,
            "recover": recover,
            "now": self._clock.now(),
        }
        self._child.send(_encode(options))
        refusal = await opened
        if refusal is not None:
            name, text = refusal
            self._child.kill()
            raise getattr(errors, name, StoreUnavailable)(text)

    def _died(self) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            opened.set_result(("StoreUnavailable", f"the writer process of {self._path} died while it opened the file"))
        elif self._mending is None:
            self._mending = self._loop.create_task(self._mend())

    async def _mend(self) -> None:
        """Replaces the writer and sends again, in order, what the dead one had not answered."""
        problem: Exception | None = None
        for delay in RESPAWN_DELAYS:
            await asyncio.sleep(delay)
            try:
                # Not `recover`: the claims of this very service are alive, only the writer has died.
                await self._start(recover=False)
            except (StoreError, OSError) as refusal:
                problem = refusal
                continue
            self._mending = None
            self._outbox.clear()
            assert self._child is not None
            if self._pending:
                again = [self._wire(operation, again=True) for operation in self._pending.values()]
                self._child.send(_encode(again))
            return
        self._failure = StoreUnavailable(f"the writer process of {self._path} died and cannot be replaced: {problem}")
        self._give_up(self._failure)
        self._failed.set()

    def _give_up(self, failure: StoreUnavailable) -> None:
        pending, self._pending = self._pending, {}
        for operation in pending.values():
            if not operation.answer.done():
                operation.answer.set_exception(failure)


def _held(claim: Lease, answer: Any) -> None:
    if answer is None:
        return
    name, status, fence = answer
    assert name == LOST
    if status is None:
        raise LeaseLost(f"request {claim.id!r} is no longer known")
    raise LeaseLost(
        f"request {claim.id!r} is {status} under claim {fence}; a write under claim {claim.fence} is refused"
    )


def _known(key: Key, answer: Any) -> RequestRecord:
    if answer == NOT_FOUND:
        raise not_found(key[1])
    return to_record(answer)
