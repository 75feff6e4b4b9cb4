"""A second signal does not wait any longer, and loses nothing either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamer.client import StreamerClient

CONFIG = """
version: 1
server: {port: 0, drain_timeout: 1h}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
actions:
  long: {handler: delay, with: {delay: 1h}, mode: async}
"""


async def test_a_second_signal_ends_the_drain_and_the_work_goes_back(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        handle = await client.submit("long", id="r")
        await handle.acknowledged()
        while (await client.status("r"))["status"] != "PROCESSING":
            pass
        service.interrupt()
        while not [entry for entry in service.log if entry["event"] == "draining"]:
            pass
        service.interrupt()
        assert service.wait() == 0
    assert service.log[-1]["event"] == "stopped"
    assert service.log[-1]["returned_to_queue"] == 1
