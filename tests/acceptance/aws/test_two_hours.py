"""API Gateway ends every connection after two hours, whatever it does. Here the two hours last a second and a half."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from streamer.client import StreamerClient
from streamer_aws.emulator.limits import Limits

LIMITS: Final = Limits(lifetime=1.5, queue_wait=1, sweep_every=2.0)
PAYLOAD: Final = {"number": 1, "seconds": 4.5, "fails": True, "steps": 20}
"""A request that takes two attempts, and so is cut off from its client at least five times."""


async def test_the_python_client_comes_back_and_misses_nothing(emulating: Any) -> None:
    seen: list[float] = []
    cuts: list[None] = []
    async with emulating(LIMITS) as emulator:
        client = StreamerClient(emulator.url, max_reconnect_delay=0.2, on_reconnect=lambda: cuts.append(None))
        async with client, asyncio.timeout(60):
            result = await client.request("toil", PAYLOAD, on_progress=lambda update: seen.append(update.percentage))
            assert (await client.request("echo", "still here"))["echo"] == "still here"
            short = [client.request("toil", {"number": n, "seconds": 0.4, "fails": False}) for n in range(10, 20)]
            assert await asyncio.gather(*short) == [{"number": n} for n in range(10, 20)]
    check(result, seen, len(cuts))


async def test_the_javascript_client_comes_back_and_misses_nothing(emulating: Any, node: list[str]) -> None:
    async with emulating(LIMITS) as emulator:
        script = str(Path(__file__).with_name("two_hours.mjs"))
        process = await asyncio.create_subprocess_exec(
            *node, script, emulator.url, json.dumps(PAYLOAD), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    told = json.loads(output)
    assert process.returncode == 0
    assert told["echo"] == "still here"
    check(told["result"], told["seen"], told["opened"] - 1)


def check(result: Any, seen: list[float], cuts: int) -> None:
    assert result == {"number": 1}
    assert cuts >= 4
    assert len(seen) > 10
    # The second attempt begins anew.
    assert sum(later < earlier for earlier, later in pairwise(seen)) == 1, seen
