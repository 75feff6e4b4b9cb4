from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import dedent

import pytest

from streamer.subprocesses import Child


class Watched:
    """A child, and what it said, in order; `None` stands for its end."""

    def __init__(self, target: str) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.child = Child(target, on_message=self.said.put_nowait, on_exit=lambda: self.said.put_nowait(None))

    async def start(self) -> Watched:
        await self.child.start()
        return self

    async def next(self) -> bytes | None:
        async with asyncio.timeout(90):
            return await self.said.get()


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of the text, found through the import path; its function `main` is what the child runs."""
    monkeypatch.syspath_prepend(tmp_path)
    count = 0

    def write(text: str) -> str:
        nonlocal count
        count += 1
        (tmp_path / f"target_{count}.py").write_text(dedent(text))
        return f"target_{count}:main"

    return write


@pytest.fixture
def run(any_loop: asyncio.Runner) -> Callable[[Callable[[Callable[[str], Watched]], Awaitable[None]]], None]:
    """Runs a test on each kind of loop; the children that it made are killed in the end."""
    made: list[Watched] = []

    def watch(target: str) -> Watched:
        watched = Watched(target)
        made.append(watched)
        return watched

    async def whole(test: Callable[[Callable[[str], Watched]], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(60):
                await test(watch)
        finally:
            for watched in made:
                watched.child.kill()
            await asyncio.sleep(0)

    return lambda test: any_loop.run(whole(test))
