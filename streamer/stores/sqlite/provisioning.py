"""Checks, creates, migrates and deletes the database file, for `streamer backend`."""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path
from typing import Final

from streamer.core.errors import StoreError
from streamer.stores.sqlite.file_check import file_problem
from streamer.stores.sqlite.files import SIDES
from streamer.stores.sqlite.schema import MIGRATIONS
from streamer.stores.sqlite.service_lock import ServiceLock
from streamer.stores.sqlite.store import SqliteStore

_VERSION: Final = struct.Struct(">60xI")
"""`PRAGMA user_version` in the file's header (https://www.sqlite.org/fileformat2.html, section 1.3). It is read without
opening the database, which a service may be using; a migration ends with a checkpoint, so the header is current.
"""
_KNOWN: Final = len(MIGRATIONS)


class DatabaseFile:
    """A `Resource`: the file of one service, with the files next to it.

    Args:
        path: absolute.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    async def check(self) -> list[str]:
        problem = file_problem(self._path)
        if problem is not None:
            return [problem]
        if not self._path.exists():
            return [
                "it does not exist; 'streamer backend create' creates it, and so does the first start of the service"
            ]
        version = self._version()
        if version > _KNOWN:
            return [f"its schema is {version}, and this version knows {_KNOWN}: upgrade streamer-router"]
        if version < _KNOWN:
            how = "'streamer backend migrate' upgrades it, and so does the next start of the service"
            return [f"its schema is {version}, and this version uses {_KNOWN}; {how}"]
        return []

    async def create(self) -> bool:
        if self._path.exists():
            return False
        await self._open()
        return True

    async def migrate(self) -> list[str]:
        if not self._path.exists():
            raise StoreError(f"{self._path} does not exist; 'streamer backend create' creates it")
        version = self._version()
        if version == _KNOWN and file_problem(self._path) is None:
            return []
        await self._open()
        return [f"its schema was {version} and is {_KNOWN} now"]

    async def delete(self) -> bool:
        if not self._path.exists():
            return False
        problem = file_problem(self._path)
        if problem is not None:
            raise StoreError(problem)
        lock = await asyncio.to_thread(ServiceLock, self._path, os.getpid())
        try:
            # The log is deleted first: next to another service's database it would be used as its log.
            log, index, lock_file = (Path(f"{self._path}{side}") for side in SIDES)
            for path in (log, index, self._path, lock_file):
                path.unlink(missing_ok=True)
        finally:
            lock.close()
        return True

    async def _open(self) -> None:
        """Opens the file as a service does, which creates or migrates it."""
        await (await SqliteStore.open(self._path)).close()

    def _version(self) -> int:
        with self._path.open("rb") as file:
            header = file.read(_VERSION.size)
        return int(_VERSION.unpack(header)[0]) if len(header) == _VERSION.size else 0
