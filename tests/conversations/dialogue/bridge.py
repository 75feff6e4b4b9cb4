"""Clients that live in Node: one process for all of them, told what to do in lines of JSON."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("bridge.mjs")
LONGEST = 32 * 1024 * 1024
"""Bytes of one line."""

Listener = Callable[[dict[str, Any]], None]


class Far:
    """One client in Node."""

    def __init__(self, bridge: Bridge, name: str, kind: str) -> None:
        self._bridge = bridge
        self._name = name
        self._kind = kind

    async def do(self, what: str, **values: Any) -> Any:
        """What comes of it."""
        return await self._bridge.do({"on": self._name, "kind": self._kind, "do": what, **values})


class Bridge:
    """The process."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listeners: dict[str, Listener] = {}

        self._process: asyncio.subprocess.Process | None = None

    async def start(self, node: list[str]) -> None:
        """Does nothing when it runs."""
        if self._process is not None:
            return
        self._process = await asyncio.create_subprocess_exec(
            *node, str(SCRIPT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST
        )
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._reader
        assert await self._process.wait() == 0

    def make(self, kind: str, listener: Listener) -> Far:
        """A new client of that kind; the listener is called with what it tells unasked."""
        name = f"{kind}-{next(self._numbers)}"
        self._listeners[name] = listener
        return Far(self, name, kind)

    async def do(self, command: dict[str, Any]) -> Any:
        """What comes of a command."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**command, "number": number}).encode() + b"\n")
        return await answer

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "event" in told:
                self._listeners[told["on"]](told)
            elif "problem" in told:
                self._answers.pop(told["number"]).set_exception(AssertionError(told["problem"]))
            else:
                self._answers.pop(told["number"]).set_result(told.get("value"))
        for answer in self._answers.values():
            answer.set_exception(AssertionError("Node has ended"))
