"""The handlers of the soak. Every result carries its request's payload back, with the owner's marker in it."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any

from streamer import Error, Request, handler, hookimpl


async def flaky(request: Request) -> dict[str, Any]:
    """Fails in its first attempt, in a way that another may fix."""
    request.progress.report(30, "trying")
    await asyncio.sleep(0.02)
    if request.attempt == 1:
        raise Error("NOT_YET", "The first attempt fails", retryable=True)
    return {"echo": request.payload}


async def broken(request: Request) -> dict[str, Any]:
    """Always fails."""
    raise Error("BROKEN", "It always fails", {"payload": request.payload}, retryable=True)


def thread(request: Request) -> dict[str, Any]:
    """Blocks a thread."""
    for step in range(5):
        request.progress.report(step * 20, "blocking")
        time.sleep(0.03)
    return {"echo": request.payload}


def crunch(request: Request) -> dict[str, Any]:
    """Keeps a processor busy."""
    total = 0
    for step in range(5):
        total += sum(number * number for number in range(20_000))
        request.progress.report(step * 20, "counting")
    return {"echo": request.payload, "total": total}


async def big(request: Request) -> dict[str, Any]:
    """Returns more than a connection buffers: from 0.2 to 1 MB, as the id says."""
    size = 200_000 + zlib.crc32(request.id.encode()) % 800_000
    return {"echo": request.payload, "filling": "x" * size}


@hookimpl
def streamer_handlers() -> list[Any]:
    return [
        handler("flaky", flaky, estimated_duration="10s"),
        handler("broken", broken, estimated_duration="10s"),
        handler("thread", thread, estimated_duration="10s"),
        handler("big", big, estimated_duration="10s"),
        handler("crunch", crunch, estimated_duration="10s", cpu_bound=True),
    ]
