"""A new action by editing the file alone: a program that streams progress, one that fails, one that takes too long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.client import RequestFailed, StreamerClient

BEFORE = """
version: 1
server: {port: 0}
backends: {store: {use: memory}}
logs: {format: json}
actions:
  echo: {handler: echo}
"""
ADDED = """
  count:
    handler: command
    with: {argv: [./count.sh]}
    mode: async
  broken:
    handler: command
    with: {argv: [sh, -c, "echo why >&2; exit 3"]}
    mode: async
  endless:
    handler: command
    with: {argv: [sleep, "3600"]}
    mode: async
    estimated_duration: 100ms
    timeout: 300ms
    retry: {max_attempts: 1}
"""
COUNT = """#!/bin/sh
read payload
for part in 25 50 75; do
  echo "{\\"progress\\": $part, \\"message\\": \\"at $part\\", \\"metadata\\": {\\"action\\": \\"$STREAMER_ACTION\\"}}"
done
echo "{\\"result\\": {\\"given\\": $payload}}"
"""


async def test_an_action_is_added_by_editing_the_file(start_service: Callable[..., Any], tmp_path: Path) -> None:
    service = start_service(BEFORE)
    async with StreamerClient(service.url) as client:
        with pytest.raises(RequestFailed, match="Unknown action"):
            await client.request("count", [1, 2])
    assert service.stop() == 0

    program = tmp_path / "count.sh"
    program.write_text(COUNT)
    program.chmod(0o755)
    service = start_service(BEFORE + ADDED)
    async with StreamerClient(service.url) as client:
        updates: list[Any] = []
        assert await client.request("count", [1, 2], on_progress=updates.append) == {"given": [1, 2]}
        assert (updates[0].percentage, updates[-1].percentage) == (25, 75)
        assert updates[-1].metadata == {"action": "count"}

        with pytest.raises(RequestFailed) as failed:
            await client.request("broken")
        assert failed.value.code == "INTERNAL_ERROR"
        assert failed.value.details["exit"] == 3

        with pytest.raises(RequestFailed) as late:
            await client.request("endless")
        assert late.value.code == "TIMEOUT"
    assert service.stop() == 0
    assert any("why" in str(entry) for entry in service.log), "what the program says on stderr belongs to the log"
