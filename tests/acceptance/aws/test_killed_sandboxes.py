"""What was acknowledged ends once and is told once, while sandboxes die, wake-ups go astray and tables refuse."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml

from streamer.client import StreamerClient
from streamer_aws.dynamodb.clients import connect
from streamer_aws.dynamodb.values import Item
from streamer_aws.emulator.emulator import Emulator
from streamer_aws.emulator.faults import Fault
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.socket import Socket
from streamer_aws.functions import sweep

CLIENTS: Final = 6
REQUESTS: Final = int(os.environ.get("STREAMER_TEST_REQUESTS", "12"))
"""Nearly each costs the start of a sandbox, which is what these tests take most of their time for."""
TERMINAL: Final = {"complete", "error"}
GUARD: Final = 300.0
"""Seconds after which what is missing does not come any more."""


class Witness:
    """Reads along what the gateway sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[Socket, dict[str, Any]]] = []
        """In the order in which it was sent."""
        send = Socket.send

        def noted(socket: Socket, data: bytes) -> None:
            self.told.append((socket, orjson.loads(data)))
            send(socket, data)

        monkeypatch.setattr(Socket, "send", noted)

    def check(self) -> None:
        """Nothing of a request came before its acknowledgment: nowhere, and not on a socket that was told it, either.

        A client that comes back resumes what it was acknowledged, and need not be told so again.
        """
        heard: set[tuple[Socket, str]] = set()
        acknowledged: set[str] = set()
        for socket, message in self.told:
            if "seq" not in message:
                continue
            name = message["request_id"]
            if message["type"] == "acknowledgment":
                assert (socket, name) not in heard or name in acknowledged, f"{message} came late"
                acknowledged.add(name)
            else:
                assert name in acknowledged, f"{message} came before its acknowledgment"
                heard.add((socket, name))

    def terminal_messages(self) -> int:
        """How many were sent, those among them that a client dropped or never got."""
        return sum(message.get("type") in TERMINAL and "seq" in message for _, message in self.told)


def harm(emulator: Emulator, wake: str, choose: random.Random) -> None:
    """Asks for faults on a share of all occasions: what is alone at the end has a chance, too."""
    plan = emulator.faults.plan
    plan(Fault.THROTTLED, count=None, share=0.02)
    plan(Fault.CONFLICT, count=None, share=0.01)
    plan(Fault.LOST_ANSWER, count=None, share=0.01)
    plan(Fault.TOO_FAST, count=None, share=0.03)
    plan(Fault.DUPLICATE_POST, count=None, share=0.05)
    plan(Fault.LOST_WAKE_UP, count=None, share=0.1, subject=wake)
    plan(Fault.DUPLICATE_EVENT, count=None, share=0.1, subject=wake)
    for function, share, longest in (("processor", 0.05, 0.4), ("default", 0.001, 0.05), ("sweep", 0.05, 0.1)):
        for _ in range(5):
            after = choose.uniform(0.0, longest)
            plan(Fault.KILLED_SANDBOX, count=None, share=share, subject=function, after=after)


async def run(emulator: Emulator, wake: str, count: int, choose: random.Random) -> dict[str, list[Any]]:
    """Sends so many requests over several connections, and returns what each was told at its end."""
    endings: dict[str, list[Any]] = defaultdict(list)

    async def one(client: StreamerClient, number: int) -> None:
        await asyncio.sleep(choose.uniform(0.0, 2.0))
        payload = {"number": number, "seconds": choose.uniform(0.05, 0.3), "fails": number % 7 == 0}
        endings[f"r{number}"].append(await client.request("toil", payload, id=f"r{number}"))

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(StreamerClient(emulator.url, max_reconnect_delay=0.5))
            for _ in range(CLIENTS)
        ]
        harm(emulator, wake, choose)
        try:
            async with asyncio.timeout(GUARD), asyncio.TaskGroup() as tasks:
                for number in range(count):
                    tasks.create_task(one(clients[number % CLIENTS], number), name=f"r{number}")
        finally:
            emulator.faults.clear()
    return endings


async def rows(emulator: Emulator) -> list[Item]:
    found: list[Item] = []
    service = yaml.safe_load(Path(emulator.environ["STREAMER_CONFIG"]).read_text())
    table = f"{service['backends']['store']['prefix']}requests"
    async with connect(emulator.environ["AWS_REGION"], emulator.environ["AWS_ENDPOINT_URL_S3"]) as client:
        async for page in client.get_paginator("scan").paginate(TableName=table):
            # The table also holds how many requests wait.
            found += [item for item in page["Items"] if item["id"]["S"] != "queue-count"]
    return found


def check_rows(items: list[Item], count: int) -> None:
    """Each request once, ended, and begun no more often than it was claimed."""
    assert sorted(item["id"]["S"] for item in items) == sorted(f"r{number}" for number in range(count))
    for item in items:
        assert item["status"]["S"] == "COMPLETED", item
        assert 1 <= int(item["attempts"]["N"]) <= int(item["fence"]["N"]), item
        assert "finished_at" in item
        history = orjson.loads(item["history"].get("S") or item["history"]["B"]) if "history" in item else []
        assert all(attempt["outcome"] in ("failed", "lost", "released") for attempt in history), history


LIMITS: Final = Limits(queue_wait=1, sweep_every=1.0, stream_poll=0.1, visibility=2, receives=1000)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep looks after seconds at what it gives a minute otherwise: no invocation lasts longer here."""
    # Processes are told by the plugin.
    monkeypatch.setenv("TOIL_HASTY", "yes")
    monkeypatch.setattr(sweep, "GRACE", 1.0)
    monkeypatch.setattr(sweep, "LONG_GRACE", 3.0)
    monkeypatch.setattr(sweep, "DELIVERING", 1.0)


async def hold(emulator: Emulator, wake: str, count: int, seed: int, ledger: Path, witness: Witness) -> None:
    """The whole test, on an emulator that runs."""
    endings = await run(emulator, wake, count, random.Random(seed))
    check_rows(await rows(emulator), count)
    assert endings == {f"r{number}": [{"number": number}] for number in range(count)}
    witness.check()
    runs = Counter(map(int, ledger.read_text().split()))
    assert runs.keys() == set(range(count))
    happened = emulator.faults.happened
    print({f.value: n for f, n in happened.items()}, f"{runs.total()} runs, {witness.terminal_messages()} told")
    assert happened[Fault.KILLED_SANDBOX], "nothing was killed"


# A sandbox that is killed closes nothing; here its sockets are left to this process.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("wake", ["sqs", "streams"])
async def test_requests_end_once_and_are_told_once_whatever_goes_wrong(
    emulating: Any, wake: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(monkeypatch)
    async with emulating(LIMITS, lease="2s", wake=wake, seed=seed) as emulator:
        await hold(emulator, wake, REQUESTS, seed, tmp_path / "ledger", witness)


@pytest.mark.usefixtures("hasty")
async def test_real_sandboxes_are_killed_and_requests_end_once_and_are_told_once(
    emulating: Any, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(monkeypatch)
    async with emulating(LIMITS, lease="2s", processes=True, sandboxes=2, seed=seed) as emulator:
        await hold(emulator, "sqs", REQUESTS, seed, tmp_path / "ledger", witness)
