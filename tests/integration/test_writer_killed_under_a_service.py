"""The writer is killed under a running service: it is replaced, the log says so, no acknowledgment is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamer.client import StreamerClient

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
actions:
  echo: {handler: echo, mode: async}
"""


def writer_of(pid: int) -> int:
    """The service's child that runs the store."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"stores.sqlite" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("the service has no writer process")


async def test_a_killed_writer_is_replaced_and_every_acknowledged_request_ends(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        requests = [asyncio.ensure_future(client.request("echo", number)) for number in range(300)]
        await client.ping()
        first = writer_of(service.pid)
        os.kill(first, signal.SIGKILL)
        answers = await asyncio.gather(*requests)
        assert [answer["echo"] for answer in answers] == list(range(300))
        assert writer_of(service.pid) != first
    assert service.stop() == 0
    assert [entry for entry in service.log if "it was replaced and nothing is lost" in entry["event"]]
