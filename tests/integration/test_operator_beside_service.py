"""An operator's command beside a running service: whoever waits hears of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from streamer.client import RequestFailed, StreamerClient

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
worker: {concurrency: 1, lease: 1h}
logs: {format: json}
actions:
  long: {handler: delay, with: {delay: 1h}, mode: async}
"""


def operate(service: Any, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "requests", *words, "--config", str(service.config)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


async def test_clients_hear_at_once_of_a_cancelled_request_queued_or_running(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        running = await client.submit("long", id="running")
        await running.acknowledged()
        while (await client.status("running"))["status"] != "PROCESSING":
            pass
        queued = await client.submit("long", id="queued")
        await queued.acknowledged()
        for handle in (queued, running):
            operate(service, "cancel", handle.id)
            with pytest.raises(RequestFailed) as ended:
                await handle.result()
            assert ended.value.code == "CANCELLED"
    assert service.stop() == 0
