"""Router and worker are dropped at each point of a request's life, and others take over the same store object.

The process of the memory store is its durability, so here only what is built on the store dies. What this is not: no
memory is lost besides, and the new worker waits for the dead one's lease, as a worker on another machine would; a
process that is killed and started again on its own file is in `test_killed_processes.py`. SQLite and DynamoDB (on an
emulator) run here too, for this way of taking over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.config.settings import (
    ActionSettings,
    BackendSettings,
    ComponentUse,
    RetrySettings,
    Settings,
    WorkerSettings,
)
from streamer.connections.local import LocalConnections
from streamer.contracts.components import Component, Kind
from streamer.contracts.handlers import HandlerFunc
from streamer.core.errors import Error
from streamer.core.ids import new_id
from streamer.core.messages import Request
from streamer.engine.attempt_states import StopReason
from streamer.runtime.assembly import Service, open_service
from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle

STEPS = {
    "enqueue": "stored",
    "complete": "recorded",
    "fail": "failed",
    "cancel": "cancelled",
    "requeue": "requeued",
    "mark_delivered": "noted",
}


class Life:
    """One worker and router on the store; it dies at the given point, and from then on nothing of it has an effect."""

    def __init__(self, point: str) -> None:
        self._point, _, count = point.partition("#")
        self._left = int(count or 1)
        self._buried = False
        self.dead = asyncio.Event()
        self.unclaimed = 0

    def at(self, point: str) -> None:
        """Dies here, if it is the point."""
        if point and point == self._point:
            self._left -= 1
            if self._left == 0:
                self.dead.set()

    async def alive(self, point: str = "") -> None:
        """Dies here, if it is the point; the dead never come back from it."""
        self.at(point)
        if self.dead.is_set():
            if not self._buried:
                await asyncio.get_running_loop().create_future()
            raise asyncio.CancelledError

    def bury(self) -> None:
        """What is cancelled now does not tidy up either."""
        self.dead.set()
        self._buried = True


class MortalStore:
    """The store as one life sees it: nothing of it reaches the store any more when that is over."""

    def __init__(self, store: Any, life: Life) -> None:
        self._store = store
        self._life = life

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            step = STEPS.get(name, name)
            await self._life.alive(f"{step}.before")
            answer = await getattr(self._store, name)(*arguments, **options)
            await self._life.alive(f"{step}.after")
            self._life.unclaimed += step == "stored" or (step == "failed" and options.get("retry_at") is not None)
            return answer

        return call

    async def claim(self, *arguments: Any, **options: Any) -> Any:
        await self._life.alive("claimed.before" if self._life.unclaimed else "")
        claims = await self._store.claim(*arguments, **options)
        for _ in claims.records:
            self._life.unclaimed -= 1
            await self._life.alive("claimed.after")
        return claims


class Peer:
    """The owner's connection in one life. Unlike a real one it never slows down, and confirms outcomes at once."""

    principal = None
    address = ""
    owner = "client:one-owner"
    post = None

    def __init__(self, life: Life, told: Any, receiver: Any) -> None:
        self._receiver = receiver
        self.id = f"connection-{id(life)}"
        self.running = 0
        self.heard: dict[str, dict[str, Any]] = {}
        self._life = life
        self._told = told

    def send(self, data: bytes, /) -> None:
        message = json.loads(data)
        step = {"acknowledgment": "acknowledged", "complete": "delivered", "error": "delivered"}.get(message["type"])
        self._life.at(f"{step}.before")
        if not self._life.dead.is_set():
            self.heard[message["request_id"]] = message
            self._told.take(message)
        self._life.at(f"{step}.after")

    def refused(self, _count: int = 1, /) -> None:
        """Nothing: this peer sends only valid messages."""

    def send_latest(self, name: str, data: bytes, final: bool = False, /) -> None:
        self.send(data)
        if final and not self._life.dead.is_set():
            self._receiver.confirmed(self, [name])

    def room(self) -> None: ...


class House:
    """One store, and the lives on it one after another."""

    def __init__(self, store: Any, clock: ManualClock, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.store = store
        self.clock = clock
        self.begun: list[str] = []
        self.broken = False
        self._stack = stack
        self._settings = Settings(
            path=folder / "streamer.yaml",
            backends=BackendSettings(store=ComponentUse(name="shared")),
            worker=WorkerSettings(lease=30.0, poll_interval=3600.0),
            actions={
                "work": ActionSettings(
                    name="work", handler="work", mode="async", concurrency=1,
                    retry=RetrySettings(initial=0.02, jitter=0.0),
                )
            },
        )  # fmt: skip

    @property
    def runs(self) -> int:
        """How often the handler began with the request."""
        return self.begun.count("r1")

    async def live(self, told: Any, point: str = "") -> tuple[Life, Service, Peer]:
        life = Life(point)
        told.new_connection()

        async def work(request: Request) -> Any:
            await life.alive("run.before")
            self.begun.append(request.id)
            payload = request.payload
            request.progress.report(10, "begun")
            if payload.get("waits"):
                await asyncio.get_running_loop().create_future()
            if request.attempt <= payload.get("fails", 0):
                raise Error("NOT_YET", "This attempt fails", retryable=True)
            if self.broken:
                raise Error("BROKEN", "Something outside is broken")
            await life.alive("run.after")
            return {"echo": payload, "attempt": request.attempt}

        parts = {
            (Kind.STORE, "shared"): lambda: MortalStore(self.store, life),
            (Kind.CONNECTIONS, "local"): LocalConnections,
            (Kind.AUTH, "none"): lambda: None,
            (Kind.HANDLER, "work"): lambda: HandlerFunc(work),
        }
        components = {
            (kind, name): Component(kind=kind, name=name, factory=lambda _options, _context, make=make: make())
            for (kind, name), make in parts.items()
        }
        service = await self._stack.enter_async_context(
            open_service(
                self._settings, components, logger=RecordingLogger(), clock=self.clock, generator=random.Random(1)
            )
        )
        tasks = [asyncio.create_task(service.worker.run()), asyncio.create_task(service.tracker.run())]
        self._stack.push_async_callback(_bury, life, tasks, service)
        peer = Peer(life, told, service.router)
        service.connections.add(peer)
        await self.turn()
        return life, service, peer

    async def turn(self) -> None:
        """Whatever is ready runs, and the store answers what it was asked."""
        await settle()
        await self.store.get(("client:nobody", "nothing"))
        await settle()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets time pass in small steps: a lease takes thirty seconds to run out."""
        for _ in range(200):
            for _ in range(5):
                await self.turn()
                if condition():
                    return
            await self.clock.advance(1)
        raise AssertionError("it did not come to pass within 200 seconds")

    async def ask(self, service: Service, peer: Peer, action: str, payload: Any = None) -> Any:
        send(service, peer, action, payload, id=action)
        await self.until(lambda: action in peer.heard)
        answer = peer.heard.pop(action)
        assert answer["type"] == "response", answer
        return answer["data"]

    async def settled(self, told: Any, *, resend: Any = None) -> dict[str, Any]:
        """Another life: the owner resends or resumes, hears the end, and nothing after it. Returns the status."""
        _, service, peer = await self.live(told)
        if resend is not None:
            send(service, peer, "work", resend, id="r1")
        else:
            assert (await self.ask(service, peer, "streamer.resume"))["requests"] == ["r1"]
        await self.until(lambda: told.ended_here)
        await self.clock.advance(60)
        status: dict[str, Any] = await self.ask(service, peer, "streamer.status", {"request_id": "r1"})
        return status


async def _bury(life: Life, tasks: list[asyncio.Task[Any]], service: Service) -> None:
    life.bury()
    service.worker.stop(StopReason.LOST)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def send(service: Service, peer: Peer, action: str, payload: Any, *, id: str) -> None:
    service.router.receive(peer, json.dumps({"action": action, "payload": payload, "id": id}).encode())


@contextlib.asynccontextmanager
async def dynamodb(clock: ManualClock, url: str) -> AsyncIterator[Any]:
    from streamer_aws.dynamodb.clients import connect
    from streamer_aws.store.store import DynamoStore
    from streamer_aws.store.table import definition

    async with connect("eu-central-1", url) as client:
        name = new_id("crashes-")
        await client.create_table(**definition(name))
        while (await client.describe_table(TableName=name))["Table"]["TableStatus"] != "ACTIVE":
            pass
        yield DynamoStore(client, name, clock=clock)
        await client.delete_table(TableName=name)


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = ManualClock()
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "memory":
            store: Any = MemoryStore(clock)
        elif request.param == "sqlite":
            store = await SqliteStore.open(tmp_path / "requests.db", clock=clock)
        else:
            store = await stack.enter_async_context(dynamodb(clock, request.getfixturevalue("ministack")))
        stack.push_async_callback(store.close)
        async with contextlib.AsyncExitStack() as lives:
            yield House(store, clock, tmp_path, lives)


async def survive(crash: Any, house: House, told: Any) -> None:
    payload = {"mine": "a secret", "fails": crash.fails}
    life, service, peer = await house.live(told, crash.at)
    send(service, peer, "work", payload, id="r1")
    await house.until(life.dead.is_set)
    assert told.acknowledged is crash.acknowledged
    assert bool(told.terminals) is crash.told

    if crash.noted:
        _, service, peer = await house.live(told)
        assert (await house.ask(service, peer, "streamer.resume"))["requests"] == []
        assert not told.here
        await house.ask(service, peer, "streamer.resume", {"request_id": "r1"})
        assert told.ended_here
        status = await house.ask(service, peer, "streamer.status", {"request_id": "r1"})
    else:
        status = await house.settled(told, resend=None if crash.acknowledged else payload)
    assert status["status"] == "COMPLETED"
    assert status["result"]["echo"] == payload
    assert status["attempt"] == crash.attempts
    assert tuple(one["outcome"] for one in status.get("history", ())) == crash.history
    assert house.runs == crash.runs


async def test_a_request_survives_its_workers_end_at_any_point(crash: Any, house: House, told: Any) -> None:
    await survive(crash, house, told)


async def test_a_second_attempt_survives_its_workers_end_at_any_point(
    second_crash: Any, house: House, told: Any
) -> None:
    await survive(second_crash, house, told)


@pytest.mark.parametrize("point", ["cancelled.before", "cancelled.after", "delivered.before", "delivered.after"])
@pytest.mark.parametrize("running", [False, True], ids=["queued", "running"])
async def test_a_cancellation_is_whole_or_has_not_happened_when_its_worker_ends_in_it(
    point: str, running: bool, house: House, told: Any
) -> None:
    life, service, peer = await house.live(told, point)
    if not running:
        send(service, peer, "work", {"waits": True}, id="before")
        await house.until(lambda: house.begun == ["before"])
    send(service, peer, "work", {"waits": True}, id="r1")
    await house.until(lambda: told.acknowledged and len(house.begun) == 1)
    send(service, peer, "streamer.cancel", {"request_id": "r1"}, id="cancel")
    await house.until(life.dead.is_set)
    assert bool(told.terminals) is (point == "delivered.after")

    _, service, peer = await house.live(told)
    if point == "cancelled.before":
        send(service, peer, "streamer.resume", None, id="resume")
        answer = await house.ask(service, peer, "streamer.cancel", {"request_id": "r1"})
        assert answer["status"] == "CANCELLED"
    else:
        assert "r1" in (await house.ask(service, peer, "streamer.resume"))["requests"]
    await house.until(lambda: told.ended_here)
    await house.clock.advance(120)
    assert {one["error"]["code"] for one in told.terminals} == {"CANCELLED"}
    status = await house.ask(service, peer, "streamer.status", {"request_id": "r1"})
    assert status["status"] == "CANCELLED"
    before_it_was_cancelled = running + (point == "cancelled.before")
    assert house.runs <= before_it_was_cancelled, "a cancelled request was attempted again"


@pytest.mark.parametrize(
    ("point", "attempts", "runs"),
    [("claimed.after#2", 2, 2), ("run.after", 2, 3), ("recorded.before", 2, 3), ("recorded.after", 1, 2)],
)
async def test_what_an_operator_runs_again_survives_its_workers_end(
    point: str, attempts: int, runs: int, house: House, told: Any
) -> None:
    house.broken = True
    life, service, peer = await house.live(told, point)
    send(service, peer, "work", {"mine": "a secret"}, id="r1")
    await house.until(lambda: told.ended_here)
    house.broken = False
    await house.store.requeue((peer.owner, "r1"))
    service.worker.wake()
    await house.until(life.dead.is_set)

    status = await house.settled(told)
    assert (status["status"], status["attempt"]) == ("COMPLETED", attempts)
    assert status["result"]["echo"] == {"mine": "a secret"}
    assert [one["outcome"] for one in status["history"]] == ["failed", *["lost"] * (attempts - 1)]
    assert [one["type"] for one in told.terminals] == ["error", "complete"]
    assert house.runs == runs
