"""Handlers whose every step a test decides: they wait for files, wherever they run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from streamer import Error, Request, Result, handler, hookimpl

LOOK = 0.01
"""Seconds between two looks for a file."""
LETTERS = "a€ß😀"


async def steps(request: Request) -> dict[str, Any]:
    """Reports three steps, and goes on from each once the test has put a file of its number into `gates`."""
    gates = Path(request.payload["gates"])
    for step in (1, 2, 3):
        request.progress.report(25 * step, f"Step {step} of 3", step=step)
        while not (gates / str(step)).exists():
            await asyncio.sleep(LOOK)
    return {"steps": 3, "note": request.metadata.get("note")}


async def fail(request: Request) -> dict[str, Any]:
    """Fails as a program does that has a mistake, or with an error of its own."""
    if request.payload == "unexpectedly":
        raise RuntimeError("a secret of the house")
    raise Error("OUT_OF_PAPER", "The tray is empty", details={"tray": 2})


async def half(request: Request) -> Result:
    """Gets as far as it can, and says why not further."""
    error = Error("HALF_DONE", "The rest is missing", details={"rest": 2})
    return Result(data={"done": 3}, success=False, error=error, metadata={"source": "talk"})


async def second_try(request: Request) -> dict[str, Any]:
    """Its first attempt fails."""
    request.progress.report(50 * request.attempt, f"Attempt {request.attempt}")
    if request.attempt == 1:
        raise Error("BUSY_SIGNAL", "Nobody answers", retryable=True)
    return {"attempt": request.attempt}


async def forever(request: Request) -> None:
    """Runs until it is stopped."""
    request.progress.report(1, "Begun")
    await asyncio.Event().wait()


async def large(request: Request) -> dict[str, Any]:
    """A text of so many characters, of one to four bytes each."""
    return {"text": (LETTERS * (request.payload // len(LETTERS) + 1))[: request.payload]}


async def who(request: Request) -> dict[str, Any]:
    """Who asks, as the service knows it."""
    principal = request.principal
    return {"user": principal and principal.user_id, "queued": request.queued}


@hookimpl
def streamer_handlers() -> list[Any]:
    """Everything above, each under its function's name."""
    return [handler(one.__name__, one) for one in (steps, fail, half, second_try, forever, large, who)]
