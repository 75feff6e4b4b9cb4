"""What was acknowledged reaches exactly one terminal state, whatever moment the process is killed at."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websockets

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
worker: {concurrency: 16, lease: 5s}
logs: {format: json}
actions:
  nap:
    handler: delay
    with: {delay: 20ms}
    mode: async
    retry: {max_attempts: 1000}
  echo:
    handler: echo
    mode: async
    retry: {max_attempts: 1000}
"""
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}


class Ledger:
    """What the client was told, over all connections."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.ended: dict[str, list[dict[str, Any]]] = {}
        self.seq: dict[str, int] = {}

    def take(self, message: dict[str, Any], ended_here: set[str]) -> None:
        request_id = message["request_id"]
        if message["type"] == "acknowledgment":
            self.acknowledged.add(request_id)
            return
        assert request_id in self.acknowledged, f"{message} came before its acknowledgment"
        assert request_id not in ended_here, f"{message} came after the terminal message on one connection"
        assert message["seq"] > self.seq.get(request_id, 0), f"{message} steps back from {self.seq[request_id]}"
        self.seq[request_id] = message["seq"]
        if message["type"] in ("complete", "error"):
            ended_here.add(request_id)
            self.ended.setdefault(request_id, []).append(message)


async def submit(url: str, ids: list[str], ledger: Ledger) -> None:
    """Sends the requests and notes what comes back, until the connection breaks."""
    ended_here: set[str] = set()
    try:
        async with websockets.connect(f"{url}?client_id=one-owner", max_queue=None) as socket:
            for number, request_id in enumerate(ids):
                action = "nap" if number % 2 else "echo"
                await socket.send(json.dumps({"action": action, "id": request_id, "payload": {"n": request_id}}))
            async for text in socket:
                message = json.loads(text)
                if message.get("type") != "response":
                    ledger.take(message, ended_here)
                if len(ended_here) == len(ids):
                    return
    except (OSError, websockets.ConnectionClosed, websockets.InvalidMessage):
        return


async def statuses(url: str, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Asks until every request is terminal."""
    found: dict[str, dict[str, Any]] = {}
    async with websockets.connect(f"{url}?client_id=one-owner") as socket:
        while ids - found.keys():
            for request_id in sorted(ids - found.keys()):
                query = {"action": "streamer.status", "id": "q", "payload": {"request_id": request_id}}
                await socket.send(json.dumps(query))
                while (answer := json.loads(await socket.recv()))["request_id"] != "q":
                    pass
                assert answer["type"] == "response", f"{request_id} was acknowledged, but: {answer}"
                if answer["data"]["status"] in TERMINAL:
                    found[request_id] = answer["data"]
    return found


async def check(url: str, ledger: Ledger) -> None:
    found = await statuses(url, ledger.acknowledged)
    assert found.keys() == ledger.acknowledged
    for request_id, status in found.items():
        assert status["status"] == "COMPLETED", status
        assert status["success"] is True
        assert status["result"], status
        told = ledger.ended.get(request_id, [])
        assert len(told) <= 1, f"{request_id} ended more than once: {told}"
        if told:
            assert told[0]["type"] == "complete"
            assert told[0]["result"] == status["result"], "the result changed after it was delivered"


def assert_one_row_each(path: Path, ids: set[str]) -> None:
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = [row[0] for row in database.execute("SELECT id FROM requests")]
    assert len(rows) == len(set(rows))
    assert ids <= set(rows)


async def test_200_requests_queued_and_running_survive_a_kill(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service(CONFIG)
    ledger = Ledger()
    ids = [f"r{number}" for number in range(200)]
    submitting = asyncio.create_task(submit(service.url, ids, ledger))
    while len(ledger.acknowledged) < 200:
        await asyncio.sleep(0.002)
    service.kill()
    await submitting
    assert len(ledger.acknowledged) == 200
    assert len(ledger.ended) < 200, "all had ended before the kill; nothing was tried"

    service = start_service(tmp_path / "streamer.yaml")
    await check(service.url, ledger)
    assert service.stop() == 0
    assert_one_row_each(tmp_path / "requests.db", ledger.acknowledged)


KILLS = int(os.environ.get("STREAMER_TEST_KILLS", "10"))
"""Of one service, one after the other. The soak kills far more often, and other things beside."""


async def test_no_moment_to_kill_loses_an_acknowledged_request(
    start_service: Callable[..., Any], tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed)
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    ledger = Ledger()
    for round_number in range(KILLS):
        service = start_service(tmp_path / "streamer.yaml")
        ids = [f"k{round_number}-{number}" for number in range(choose.randrange(5, 60))]
        submitting = asyncio.create_task(submit(service.url, ids, ledger))
        await asyncio.sleep(choose.expovariate(1 / 0.05))
        service.kill()
        await submitting
    service = start_service(tmp_path / "streamer.yaml")
    await check(service.url, ledger)
    assert service.stop() == 0
    print(f"{len(ledger.acknowledged)} acknowledged, {len(ledger.ended)} told at once, {KILLS} kills")
    assert len(ledger.acknowledged) > KILLS
    assert_one_row_each(tmp_path / "requests.db", ledger.acknowledged)
