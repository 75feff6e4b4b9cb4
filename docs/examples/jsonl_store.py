"""A store in one file of JSON lines: a complete example, packaged as a plugin.

Each write appends lines and flushes them to the disk before it returns. All records are also in memory, so the file is
read only once, at the start; a line that a crash has left incomplete is removed then.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from streamer import BuildContext, Component, Kind, StorageQueue, hookimpl
from streamer.contracts.storage import Change, Row
from streamer.contracts.stores import Key
from streamer.core.errors import StoreClosed, StoreError, StoreInUse, StoreUnavailable
from streamer.core.records import RequestRecord
from streamer.stores.memory import MemoryStorage

SPARE_LINES = 10_000
"""How many more lines than records the file may have before it is rewritten without outdated lines."""


class JsonlStorage(MemoryStorage):
    """A `Storage` that reads from memory, and writes to the file first.

    The file has four kinds of lines, each an object with one member: `insert` (number, version, record), `replace`
    (key, version, the changed fields), `delete` (keys) and `keep` (name, value).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lock = -1
        self._file = -1
        self._size = 0
        """Bytes of the file that are certainly on the disk."""
        self._lines_in_file = 0

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Opens the file, which is created if it does not exist.

        Raises:
            StoreInUse: another process has it open.
            StoreError: it was not written by this class.
        """
        storage = cls(path)
        await asyncio.to_thread(storage._start)
        return storage

    async def insert(self, records: Sequence[RequestRecord], /) -> list[Row | None]:
        answers: list[Row | None] = []
        new: dict[Key, Row] = {}
        for record in records:
            row = self.rows.get(record.key) or new.get(record.key)
            answers.append(row)
            if row is None:
                new[record.key] = Row(self.next_number(), 1, record)
        await self._append({"insert": row} for row in new.values())
        for row in new.values():
            self.put(row)
        return answers

    async def replace(self, changes: Sequence[Change], /) -> list[bool]:
        answers: list[bool] = []
        lines: list[dict[str, Any]] = []
        new: list[Row] = []
        for version, record in changes:
            row = self.rows.get(record.key)
            fits = row is not None and row.version == version
            answers.append(fits or row == (row and row.number, version + 1, record))
            if row is not None and fits:
                new.append(Row(row.number, version + 1, record))
                lines.append({"replace": (record.key, version + 1, _difference(row.record, record))})
        await self._append(lines)
        for row in new:
            self.put(row)
        return answers

    async def delete(self, finished_before: float, limit: int, /) -> int:
        keys = self.finished(finished_before, limit)
        if keys:
            await self._append([{"delete": keys}])
            self.remove(keys)
        if self._lines_in_file > 2 * len(self.rows) + SPARE_LINES:
            await asyncio.to_thread(self._write_anew)
        return len(keys)

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        if replace or name not in self.kept:
            await self._append([{"keep": (name, value)}])
            self.kept[name] = value
        return self.kept[name]

    async def close(self) -> None:
        for number in (self._file, self._lock):
            with contextlib.suppress(OSError):
                os.close(number)
        self._file = self._lock = -1

    async def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        text = [msgspec.json.encode(line) for line in lines]
        if text:
            await asyncio.to_thread(self._write, b"\n".join([*text, b""]), len(text))

    def _write(self, data: bytes, lines: int) -> None:
        if self._file < 0:
            raise StoreClosed(f"{self._path} is closed")
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as problem:
            # For example, the disk is full: no part of this call may stay in the file.
            os.ftruncate(self._file, self._size)
            raise StoreUnavailable(f"{self._path} cannot be written: {problem}") from problem
        self._flush()
        self._size += len(data)
        self._lines_in_file += lines

    def _flush(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as problem:
            # The content of the disk is unknown now, and the next flush may report success for lost data.
            os.close(self._file)
            self._file = -1
            raise StoreClosed(f"{self._path} cannot be flushed to the disk: {problem}") from problem

    def _start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreInUse(f"{self._path} is open in another process; stop it, or use another file") from None
        self._file = self._open(self._path)
        self._read(self._path.read_bytes())
        self._write_anew()

    def _open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def _read(self, content: bytes) -> None:
        # The text after the last line end was being written when the process died, and was never acknowledged.
        whole = content[: content.rfind(b"\n") + 1]
        records: dict[tuple[str, ...], list[Any]] = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                ((kind, value),) = msgspec.json.decode(line).items()
                if kind == "insert":
                    records[value[2]["owner"], value[2]["id"]] = value
                elif kind == "replace":
                    row = records[tuple(value[0])]
                    row[1] = value[1]
                    row[2].update(value[2])
                elif kind == "delete":
                    for key in value:
                        del records[tuple(key)]
                else:
                    self.kept[value[0]] = msgspec.convert(value[1], bytes)
            except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as problem:
                raise StoreError(f"{self._path}, line {number} is not a line of a queue: {problem}") from problem
        for row in records.values():
            self.put(msgspec.convert(row, Row))

    def _write_anew(self) -> None:
        """Writes the file with one line for each record, under another name until it is complete."""
        lines: list[dict[str, Any]] = [{"keep": pair} for pair in self.kept.items()]
        lines += [{"insert": row} for row in self.rows.values()]
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        before, self._file, self._size = self._file, self._open(fresh), 0
        os.close(before)
        self._write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines), 0)
        self._lines_in_file = len(lines)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _difference(before: RequestRecord, after: RequestRecord) -> dict[str, Any]:
    fields = RequestRecord.__struct_fields__
    return {name: new for name in fields if (new := getattr(after, name)) != getattr(before, name)}


@asynccontextmanager
async def jsonl_store(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[StorageQueue]:
    """The store for `backends: {store: {use: NAME.jsonl, path: ./queue.jsonl}}`."""
    storage = await JsonlStorage.open(context.path(options["path"]))
    worker = context.settings.worker
    bounds = {"max_queued": worker.max_queued, "max_queued_per_owner": worker.share_of_owner}
    store = StorageQueue(storage, clock=context.clock, **bounds)
    try:
        yield store
    finally:
        await store.close()


@hookimpl
def streamer_backends() -> list[Component]:
    """The plugin's components."""
    options = {
        "type": "object",
        "properties": {"path": {"type": "string", "default": "./queue.jsonl"}},
        "additionalProperties": False,
    }
    summary = "A queue in one file of JSON lines"
    return [Component(kind=Kind.STORE, name="jsonl", factory=jsonl_store, options=options, summary=summary)]
