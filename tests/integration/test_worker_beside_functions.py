"""`streamer worker`: takes from the same table what no function on Lambda may, and tells the same connections."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
import structlog

from streamer.client import StreamerClient
from streamer.core.clock import SystemClock
from streamer_aws import Sandbox
from streamer_aws.emulator.emulator import Plan, open_emulator
from streamer_aws.emulator.limits import Limits

CONFIG = """
version: 1
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb, prefix: beside-, region: eu-central-1}
  connections: {use: apigateway, prefix: beside-, region: eu-central-1, progress_interval: 10ms}
worker: {poll_interval: 100ms}
server: {drain_timeout: 1s}
actions:
  short: {handler: delay, with: {delay: 10ms}, mode: async, timeout: 10s}
  film: {handler: delay, with: {delay: 300ms}, mode: async, timeout: 1h}
  endless: {handler: delay, with: {delay: 1h}, mode: async, timeout: 2h}
"""


class Worker:
    """The command, read until it is ready."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    async def until(self, event):
        while True:
            line = await self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(json.loads(line))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]

    async def end(self):
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))
        return await self.process.wait()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "aws.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
async def emulator(ministack, config, monkeypatch):
    plan = Plan(
        config=config,
        store={"prefix": "beside-"},
        connections={"prefix": "beside-"},
        endpoint_url=ministack,
        region="eu-central-1",
        handlers=lambda environ: Sandbox(config, environ),
        limits=Limits(queue_wait=1),
    )
    async with open_emulator(plan, clock=SystemClock(), logger=structlog.get_logger()) as emulator:
        for name, value in emulator.environ.items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
async def start_worker(config, emulator):
    started = []

    async def start(*arguments):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamer", "worker", "--config", str(config), *arguments),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **emulator.environ},
        )
        started.append(Worker(process))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.returncode is None:
            worker.process.kill()
            await worker.end()


async def test_long_work_waits_for_a_worker_and_short_work_does_not(emulator, start_worker):
    async with StreamerClient(emulator.url) as client:
        film = await client.submit("film")
        assert (await client.request("short"))["steps"] == 10
        assert not film.done
        worker = await start_worker("--action", "film")
        assert (await worker.until("ready"))["actions"] == ["film"]
        assert (await film.result())["steps"] == 10
        # The worker that was told to take films only leaves the rest to the functions.
        assert (await client.request("short"))["steps"] == 10
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.end() == 0
        assert worker.lines[-1]["event"] == "stopped"
        assert worker.lines[-1]["returned_to_queue"] == 0


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_worker_that_is_told_to_stop_gives_back_what_runs(emulator, start_worker, signals):
    async with StreamerClient(emulator.url) as client:
        endless = await client.submit("endless")
        worker = await start_worker()
        await worker.until("ready")
        status = {"status": "PENDING"}
        while status["status"] == "PENDING":
            status = await client.request("streamer.status", {"request_id": endless.id})
        worker.process.send_signal(signal.SIGTERM)
        await worker.until("draining")
        if signals == 2:
            worker.process.send_signal(signal.SIGTERM)
        assert await worker.end() == 0
        assert worker.lines[-1]["event"] == "stopped"
        assert worker.lines[-1]["returned_to_queue"] == 1
        assert (await client.request("streamer.status", {"request_id": endless.id}))["status"] == "PENDING"
        await client.request("streamer.cancel", {"request_id": endless.id})
