"""The handler of the crash tests: notes each run in a file, and fails or waits as its payload says."""

import asyncio
import json
from pathlib import Path

from crash_points import reach

from streamer import Error, Request, handler, hookimpl


async def work(request: Request) -> dict:
    reach("run.before")
    with Path("runs").open("a") as runs:
        runs.write(json.dumps([request.id, request.attempt]) + "\n")
    payload = request.payload
    request.progress.report(10, "begun")
    if payload.get("waits") or Path("stuck").exists():
        await asyncio.sleep(3600)
    if request.attempt <= payload.get("fails", 0):
        raise Error("NOT_YET", "This attempt fails", retryable=True)
    if payload.get("breaks") and Path("broken").exists():
        raise Error("BROKEN", "Something outside is broken")
    reach("run.after")
    return {"echo": payload, "attempt": request.attempt}


@hookimpl
def streamer_handlers() -> list:
    return [handler("work", work, estimated_duration="10s")]
