"""A handler whose effect outlives the process that it runs in."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from streamer import Error, Request, handler, hookimpl


async def toil(request: Request) -> dict[str, Any]:
    """Takes its time, reports, writes its number into the ledger, and fails once where it is told to."""
    payload = request.payload
    steps = payload.get("steps", 1)
    for step in range(steps):
        request.progress.report(10 + 80 * step / steps, f"Step {step} of {steps}")
        await asyncio.sleep(payload["seconds"] / steps)
    request.progress.report(90, "Nearly")
    # One small write at the end of the file is whole, whoever else writes.
    ledger = os.open(os.environ["TOIL_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, f"{payload['number']}\n".encode())
    finally:
        os.close(ledger)
    if payload["fails"] and request.attempt == 1:
        raise Error("BUSY_SIGNAL", "Nobody answers", retryable=True)
    return {"number": payload["number"]}


if "TOIL_HASTY" in os.environ:
    # In a real sandbox nothing but its environment can say so.
    from streamer_aws.functions import sweep

    sweep.GRACE, sweep.LONG_GRACE, sweep.DELIVERING = 1.0, 3.0, 1.0  # type: ignore[misc] # small, for a test


@hookimpl
def streamer_handlers() -> list[Any]:
    """`toil.toil`."""
    return [handler("toil", toil)]
