"""Two services on one DynamoDB table: each does what the other cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamer.cli.app import app
from streamer.client import StreamerClient

CONFIG = """
version: 1
server: {{port: 0, drain_timeout: 5s}}
backends: {{store: {{use: dynamodb, prefix: two-, region: eu-central-1, endpoint_url: "{url}"}}}}
worker: {{concurrency: {concurrency}, lease: 2s, poll_interval: 200ms}}
logs: {{format: json}}
actions:
  nap: {{handler: delay, with: {{delay: 200ms}}, mode: async}}
  long: {{handler: delay, with: {{delay: {long}}}, mode: async}}
"""


@pytest.fixture
def tables(ministack: str, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "tables.yaml"
    path.write_text(CONFIG.format(url=ministack, concurrency=1, long="1h"))
    made = CliRunner().invoke(app, ["backend", "create", "--config", str(path)])
    assert made.exit_code == 0, made.output
    yield ministack
    CliRunner().invoke(app, ["backend", "delete", "--yes", "--config", str(path)])


async def test_one_runs_what_the_other_has_no_room_for_and_takes_over_when_it_dies(
    start_service: Callable[..., Any], tables: str, tmp_path: Path
) -> None:
    full = await asyncio.to_thread(start_service, CONFIG.format(url=tables, concurrency=1, long="1h"))
    async with StreamerClient(full.url, "me") as client:
        handle = await client.submit("long", id="long")
        await handle.acknowledged()
        while (await client.status("long"))["status"] != "PROCESSING":
            await asyncio.sleep(0.002)
        waiting = asyncio.create_task(client.request("nap", id="nap"))
        other_file = tmp_path / "other.yaml"
        other_file.write_text(CONFIG.format(url=tables, concurrency=8, long="500ms"))
        other = await asyncio.to_thread(start_service, other_file)
        assert (await asyncio.wait_for(waiting, 30))["steps"] == 10
        full.kill()
    async with StreamerClient(other.url, "me") as client:
        resumed = await client.resume("long")
        assert (await asyncio.wait_for(resumed, 30))["steps"] == 10
        told = await client.status("long")
        assert (told["status"], told["attempt"]) == ("COMPLETED", 2)
    assert other.stop() == 0
