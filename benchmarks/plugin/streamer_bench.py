"""The plugin of the benchmark: one handler that says five times how far it is."""

from __future__ import annotations

import asyncio

from streamer import Request, handler, hookimpl


async def lifecycle(request: Request) -> dict[str, int]:
    """Reports five times and returns; each report gives way to the loop, as work would."""
    for step in range(1, 6):
        request.progress.report(step * 20, f"Step {step} of 5")
        await asyncio.sleep(0)
    return {"steps": 5}


@hookimpl
def streamer_handlers() -> list:
    return [handler("lifecycle", lifecycle, estimated_duration="10s")]
