"""A real service kills itself at each point of a request's life, and another takes over the same file or table."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from streamer.core.ids import new_id

PROGRAM = Path(__file__).parent / "program"
CONFIG = """
version: 1
server: {port: 0, drain_timeout: 20ms}
backends: {store: STORE}
worker: {poll_interval: POLL, lease: LEASE}
logs: {format: json}
actions:
  work:
    handler: crash.work
    concurrency: 1
    retry: {max_attempts: 3, initial: 20ms, jitter: 0}
"""


SQLITE = {"STORE": "{use: sqlite, path: ./requests.db}", "LEASE": "1h"}


class Life:
    """One process of the service: `streamer run` that dies at the given point, or lives on without one."""

    def __init__(self, folder: Path, environment: dict[str, str], point: str) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment, "CRASH_AT": point}
        self._log = (folder / f"log-{len(list(folder.glob('log-*')))}").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM / "crashing_streamer.py"), "run", "--config", "streamer.yaml"],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            cwd=folder,
            env=self._environment,
        )

    async def url(self) -> str:
        while True:
            self._log.seek(0)
            for line in self._log.read().splitlines():
                with contextlib.suppress(ValueError):
                    if (entry := json.loads(line)).get("event") == "ready":
                        return f"{entry['url']}?client_id=one-owner"
            assert self.process.poll() is None, f"it did not start:\n{self.said()}"
            await asyncio.sleep(0.01)

    def said(self) -> str:
        return Path(self._log.name).read_text()

    def killed_itself(self) -> None:
        assert self.process.wait(90) == -signal.SIGKILL, f"the point was not reached:\n{self.said()}"

    def operate(self, *words: str, point: str = "") -> int:
        done = subprocess.run(
            [sys.executable, str(PROGRAM / "crashing_streamer.py"), "requests", *words, "--config", "streamer.yaml"],
            cwd=self.folder,
            env={**self._environment, "CRASH_AT": point},
            capture_output=True,
            check=False,
        )
        return done.returncode

    def drain(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextlib.contextmanager
def lives(folder: Path, store_class: str, settings: dict[str, str]) -> Iterator[Callable[..., Life]]:
    """Starts one life after another on the same file or table."""
    announced = folder / "site" / "streamer_crash-1.0.dist-info"
    announced.mkdir(parents=True)
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: streamer-crash\nVersion: 1.0\n")
    (announced / "entry_points.txt").write_text("[streamer]\ncrash = crashing_plugin\n")
    environment = {"PYTHONPATH": f"{announced.parent}{os.pathsep}{PROGRAM}", "CRASH_STORE": store_class}
    begun: list[Life] = []

    def start(point: str = "", *, poll: str = "1h") -> Life:
        config = CONFIG
        for name, value in {**settings, "POLL": poll}.items():
            config = config.replace(name, value)
        (folder / "streamer.yaml").write_text(config)
        begun.append(Life(folder, environment, point))
        return begun[-1]

    yield start
    for life in begun:
        life.end()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., Life]]:
    with lives(tmp_path, "SqliteStore", SQLITE) as start:
        yield start


@pytest.fixture
async def live_on_dynamodb(ministack: str, tmp_path: Path) -> AsyncIterator[Callable[..., Life]]:
    from streamer_aws.dynamodb.clients import connect
    from streamer_aws.store.table import definition

    prefix = new_id("crashes-")
    table = f"{prefix}requests"
    store = f"{{use: dynamodb, prefix: {prefix}, region: eu-central-1, endpoint_url: '{ministack}'}}"
    async with connect("eu-central-1", ministack) as client:
        await client.create_table(**definition(table))
        while (await client.describe_table(TableName=table))["Table"]["TableStatus"] != "ACTIVE":
            pass
        # Nobody can know that a worker of a table is dead: its lease must run out.
        with lives(tmp_path, "DynamoStore", {"STORE": store, "LEASE": "1s"}) as start:
            yield start
        await client.delete_table(TableName=table)


class Connection:
    """One connection of the owner; what it hears goes into `told`."""

    def __init__(self, socket: websockets.ClientConnection, told: Any) -> None:
        self._socket = socket
        self._told = told
        self._queries = 0

    async def send(self, action: str, payload: Any = None, **more: Any) -> None:
        await self._socket.send(json.dumps({"action": action, "payload": payload, **more}))

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.recv())
        self._told.take(message)
        return message

    async def ask(self, action: str, payload: Any = None) -> Any:
        """The answer to a direct request."""
        self._queries += 1
        await self.send(action, payload, id=f"query-{self._queries}")
        while (answer := await self.hear()).get("request_id") != f"query-{self._queries}":
            pass
        assert answer["type"] == "response", answer
        return answer["data"]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.hear()


@contextlib.asynccontextmanager
async def connection(life: Life, told: Any) -> Any:
    told.new_connection()
    async with asyncio.timeout(90), websockets.connect(await life.url()) as socket:
        yield Connection(socket, told)


@contextlib.asynccontextmanager
async def until_it_dies(life: Life, told: Any) -> Any:
    """A connection that its service's death ends."""
    with contextlib.suppress(websockets.ConnectionClosed, ConnectionResetError):
        async with connection(life, told) as owner:
            yield owner
            while True:
                await owner.hear()
    life.killed_itself()


def record(folder: Path) -> dict[str, Any]:
    """The one record of the request."""
    with contextlib.closing(sqlite3.connect(folder / "requests.db")) as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute("SELECT * FROM requests WHERE id = 'r1'")
    return dict(row)


def runs(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(json.loads(line)[0] == "r1" for line in (folder / "runs").read_text().splitlines())
    return 0


async def settled(life: Life, told: Any, *, resend: Any = None) -> dict[str, Any]:
    """The owner comes back, resends what was not acknowledged or resumes, and hears the end. Returns the status."""
    async with connection(life, told) as owner:
        if resend is not None:
            await owner.send("work", resend, id="r1")
        else:
            answer = await owner.ask("streamer.resume")
            assert answer["requests"] == ["r1"]
        await owner.until(lambda: told.ended_here)
        # Whatever else there may be would come before these answers.
        status: dict[str, Any] = await owner.ask("streamer.status", {"request_id": "r1"})
        await owner.ask("streamer.ping")
    return status


TOGETHER = ("stored.after", "acknowledged.before", "acknowledged.after", "claimed.before")
"""Where the claim of a lone request may be durable too, or the request itself may not be, as both are sent at once."""


async def survive(crash: Any, live: Callable[..., Life], told: Any, *, together: bool = False) -> None:
    payload = {"mine": "a secret", "fails": crash.fails}
    life = live(crash.at)
    async with until_it_dies(life, told) as owner:
        await owner.send("work", payload, id="r1")
    if together and crash.at == "claimed.before":
        # The claim is sent before the acknowledgment may be.
        crash = crash._replace(acknowledged=False)
    assert told.acknowledged is crash.acknowledged
    assert bool(told.terminals) is crash.told

    life = live()
    if crash.noted:
        async with connection(life, told) as owner:
            assert (await owner.ask("streamer.resume"))["requests"] == []
            assert not told.here
            await owner.ask("streamer.resume", {"request_id": "r1"})
            await owner.until(lambda: told.ended_here)
            status = await owner.ask("streamer.status", {"request_id": "r1"})
    else:
        status = await settled(life, told, resend=None if crash.acknowledged else payload)
    assert status["status"] == "COMPLETED"
    assert status["result"]["echo"] == payload
    lost = status["attempt"] - crash.attempts
    assert lost in ((0, 1) if together and crash.at in TOGETHER else (0,))
    assert tuple(one["outcome"] for one in status.get("history", ())) == (*crash.history, *["lost"] * lost)
    assert runs(life.folder) == crash.runs


async def test_a_request_survives_a_kill_at_any_point(crash: Any, live: Callable[..., Life], told: Any) -> None:
    await survive(crash, live, told, together=True)


async def test_a_request_on_dynamodb_survives_a_kill_after_each_of_its_writes(
    crash_after_a_write: Any, live_on_dynamodb: Callable[..., Life], told: Any
) -> None:
    await survive(crash_after_a_write, live_on_dynamodb, told)


async def test_a_second_attempt_survives_a_kill_after_each_of_its_writes(
    second_crash_after_a_write: Any, live: Callable[..., Life], told: Any
) -> None:
    await survive(second_crash_after_a_write, live, told)


async def test_a_request_that_kills_every_process_ends_as_failed_and_runs_again_only_by_an_operator(
    live: Callable[..., Life], told: Any
) -> None:
    life = live("run.after")
    async with until_it_dies(life, told) as owner:
        await owner.send("work", {"mine": "a secret"}, id="r1")
    for _ in range(2):
        live("run.after").killed_itself()
    life = live(poll="20ms")
    status = await settled(life, told)
    assert status["status"] == "FAILED"
    assert [one["outcome"] for one in status["history"]] == ["lost"] * 3
    assert [one["type"] for one in told.terminals] == ["error"]
    assert runs(life.folder) == 3

    assert life.operate("retry", "r1") == 0
    status = await settled(life, told)
    assert (status["status"], status["attempt"]) == ("COMPLETED", 1)
    assert status["result"]["echo"] == {"mine": "a secret"}
    assert [one["type"] for one in told.terminals] == ["error", "complete"]


@pytest.mark.parametrize(
    ("point", "running"),
    [("cancelled.before", True), ("cancelled.after", False), ("cancelled.after", True), ("delivered.after", True)],
)
async def test_a_cancellation_is_whole_or_has_not_happened_when_the_process_dies_in_it(
    point: str, running: bool, live: Callable[..., Life], told: Any
) -> None:
    life = live(point)
    async with until_it_dies(life, told) as owner:
        if not running:
            await owner.send("work", {"waits": True}, id="before")
            while (await owner.ask("streamer.status", {"request_id": "before"}))["status"] != "PROCESSING":
                pass
        await owner.send("work", {"waits": True}, id="r1")
        await owner.until(lambda: told.acknowledged)
        while running and runs(life.folder) == 0:
            await owner.ask("streamer.ping")
        await owner.send("streamer.cancel", {"request_id": "r1"}, id="cancel")
    assert bool(told.terminals) is (point == "delivered.after")

    life = live()
    async with connection(life, told) as owner:
        if point == "cancelled.before":
            assert record(life.folder)["status"] in ("PENDING", "PROCESSING")
            await owner.send("streamer.resume")
            assert (await owner.ask("streamer.cancel", {"request_id": "r1"}))["status"] == "CANCELLED"
        else:
            assert "r1" in (await owner.ask("streamer.resume"))["requests"]
        await owner.until(lambda: told.ended_here)
        await owner.ask("streamer.ping")
    assert {one["error"]["code"] for one in told.terminals} == {"CANCELLED"}
    assert record(life.folder)["status"] == "CANCELLED"
    before_it_was_cancelled = running + (point == "cancelled.before")
    assert runs(life.folder) <= before_it_was_cancelled, "a cancelled request was attempted again"


@pytest.mark.parametrize(
    ("point", "ended", "attempts"), [("released.before", "lost", 2), ("released.after", "released", 1)]
)
async def test_what_a_drain_gives_back_survives_a_kill_in_it(
    point: str, ended: str, attempts: int, live: Callable[..., Life], told: Any, tmp_path: Path
) -> None:
    life = live(point)
    (tmp_path / "stuck").touch()
    async with until_it_dies(life, told) as owner:
        await owner.send("work", {"mine": "a secret"}, id="r1")
        await owner.until(lambda: told.acknowledged)
        while runs(life.folder) == 0:
            await owner.ask("streamer.ping")
        life.drain()
    (tmp_path / "stuck").unlink()
    status = await settled(live(), told)
    assert (status["status"], status["attempt"]) == ("COMPLETED", attempts)
    assert [one["outcome"] for one in status["history"]] == [ended]
    assert runs(life.folder) == 2


@pytest.mark.parametrize("point", ["requeued.before", "requeued.after"])
async def test_an_operators_retry_is_whole_or_has_not_happened_when_its_command_dies(
    point: str, live: Callable[..., Life], told: Any, tmp_path: Path
) -> None:
    life = await _broken(live, told)
    (tmp_path / "broken").unlink()
    assert life.operate("retry", "r1", point=point) == -signal.SIGKILL
    if point == "requeued.before":
        assert record(life.folder)["status"] == "FAILED"
        assert life.operate("retry", "r1") == 0
    await _mended(life, told)
    assert runs(life.folder) == 2


@pytest.mark.parametrize(
    ("point", "attempts", "began"),
    [("claimed.after#2", 2, 2), ("run.after", 2, 3), ("recorded.before", 2, 3), ("recorded.after", 1, 2)],
)
async def test_what_an_operator_runs_again_survives_a_kill(
    point: str, attempts: int, began: int, live: Callable[..., Life], told: Any, tmp_path: Path
) -> None:
    life = await _broken(live, told, point)
    (tmp_path / "broken").unlink()
    assert life.operate("retry", "r1") == 0
    life.killed_itself()
    status = await _mended(live(), told)
    assert status["attempt"] == attempts
    assert [one["outcome"] for one in status["history"]] == ["failed", *["lost"] * (attempts - 1)]
    assert runs(life.folder) == began


async def _broken(live: Callable[..., Life], told: Any, point: str = "") -> Life:
    """A request that has FAILED, and whose owner knows it."""
    life = live(point, poll="20ms")
    (life.folder / "broken").touch()
    async with connection(life, told) as owner:
        await owner.send("work", {"breaks": True}, id="r1")
        await owner.until(lambda: told.ended_here)
    assert told.terminals[0]["error"]["code"] == "BROKEN"
    return life


async def _mended(life: Life, told: Any) -> dict[str, Any]:
    status = await settled(life, told)
    assert status["status"] == "COMPLETED"
    assert [one["type"] for one in told.terminals] == ["error", "complete"]
    return status
