"""Where the table's stream wakes the processors, what is to run later or again does not wait for the sweep."""

from __future__ import annotations

from typing import Any

from streamer.client import StreamerClient
from streamer_aws.emulator.limits import Limits


async def test_a_retry_runs_when_it_is_due(emulating: Any) -> None:
    # The sweep, which would find it too, does not come.
    async with (
        emulating(Limits(queue_wait=1, stream_poll=0.05, sweep_every=3600.0), wake="streams") as emulator,
        StreamerClient(emulator.url) as client,
    ):
        request = {"seconds": 0, "number": 7, "fails": True}
        assert await client.request("toil", request, timeout=60) == {"number": 7}
