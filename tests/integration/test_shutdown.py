"""How a real service ends: told to, with work under way; and when its store fails for good."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

CONFIG = """
version: 1
server: {{port: 0, drain_timeout: {drain}}}
backends: {{store: {{use: sqlite, path: ./state/requests.db}}}}
logs: {{format: json}}
actions:
  nap: {{handler: delay, with: {{delay: {nap}}}, mode: async}}
  direct: {{handler: delay, with: {{delay: {nap}}}, mode: sync}}
  echo: {{handler: echo}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    (tmp_path / "state").mkdir()
    return lambda drain="30s", nap="500ms": CONFIG.format(drain=drain, nap=nap)


async def ask(socket: Any, action: str, request_id: str, payload: Any = None) -> None:
    await socket.send(json.dumps({"action": action, "id": request_id, "payload": payload}))


async def hear(socket: Any) -> dict[str, Any]:
    return json.loads(await socket.recv())


async def hear_until_running(socket: Any) -> None:
    """The first report says that a worker has it."""
    while (await hear(socket))["type"] != "progress":
        pass


async def hear_until_closed(socket: Any) -> tuple[list[dict[str, Any]], int]:
    heard = []
    with contextlib.suppress(websockets.ConnectionClosedError):
        async for text in socket:
            heard.append(json.loads(text))  # noqa: PERF401 - what was heard before the error counts
    return heard, socket.close_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
async def test_what_runs_finishes_and_its_result_is_delivered_before_the_connection_is_closed(
    start_service: Callable[..., Any], config: Callable[..., str], number: int
) -> None:
    service = start_service(config())
    async with websockets.connect(service.url) as socket:
        await ask(socket, "nap", "queued")
        await ask(socket, "direct", "now")
        await hear_until_running(socket)
        os.kill(service.pid, number)
        heard, code = await hear_until_closed(socket)
    assert [message["request_id"] for message in heard if message["type"] == "complete"] == ["queued"]
    assert [message["request_id"] for message in heard if message["type"] == "response"] == ["now"]
    assert code == 3001
    assert service.wait() == 0
    assert service.log[-1]["event"] == "stopped"
    assert service.log[-1]["returned_to_queue"] == 0


async def test_what_does_not_finish_goes_back_to_the_queue_and_the_next_start_runs_it(
    start_service: Callable[..., Any], config: Callable[..., str], tmp_path: Path
) -> None:
    service = start_service(config(drain="50ms", nap="1h"))
    async with websockets.connect(service.url) as socket:
        await ask(socket, "nap", "long")
        await ask(socket, "direct", "now")
        assert (await hear(socket))["type"] == "acknowledgment"
        await _until(tmp_path / "state" / "requests.db", ("PROCESSING", 1))
        service.interrupt()
        heard, code = await hear_until_closed(socket)
    assert code == 3001
    assert [(message["request_id"], message["error"]["code"]) for message in heard] == [("now", "OVERLOADED")]
    assert service.wait() == 0
    assert service.log[-1]["returned_to_queue"] == 1
    with sqlite3.connect(tmp_path / "state" / "requests.db") as database:
        assert database.execute("SELECT status, attempts FROM requests").fetchall() == [("PENDING", 0)]

    again = start_service(config(nap="10ms"))
    await _until(tmp_path / "state" / "requests.db", ("COMPLETED", 1))
    assert again.stop() == 0


async def _until(path: Path, expected: tuple[str, int]) -> None:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        while database.execute("SELECT status, attempts FROM requests").fetchone() != expected:
            await asyncio.sleep(0.01)


async def test_while_it_drains_new_requests_are_told_to_come_back(
    start_service: Callable[..., Any], config: Callable[..., str]
) -> None:
    service = start_service(config(nap="1s"))
    async with websockets.connect(service.url) as socket:
        await ask(socket, "nap", "queued")
        await hear_until_running(socket)
        service.interrupt()
        refused = None
        while refused is None:
            await ask(socket, "echo", "late")
            answer = await hear(socket)
            if answer["request_id"] == "late" and answer["type"] == "error":
                refused = answer
        assert refused["error"]["code"] == "OVERLOADED"
        assert refused["error"]["details"]["retry_after_ms"] > 0
        heard, code = await hear_until_closed(socket)
    assert code == 3001
    assert "complete" in [message["type"] for message in heard]
    assert service.wait() == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the writer is found by what it has open")
async def test_a_store_that_fails_for_good_ends_the_service_with_one_line_and_an_error(
    start_service: Callable[..., Any], config: Callable[..., str], tmp_path: Path
) -> None:
    service = start_service(config(nap="1h"))
    async with websockets.connect(service.url) as socket:
        await ask(socket, "nap", "long")
        assert (await hear(socket))["type"] == "acknowledgment"
        # Neither the file nor its folder is to be had any more, and the writer has died.
        shutil.rmtree(tmp_path / "state")
        (tmp_path / "state").write_text("no folder")
        os.kill(_writer(service.pid), signal.SIGKILL)
        _, code = await hear_until_closed(socket)
    assert code == 3001
    assert service.wait() == 1
    told = [line for line in service.raw if not line.startswith("{")]
    assert len(told) == 1, service.raw
    assert "the store has failed permanently" in told[0]
    assert "requests.db" in told[0]
    assert "Traceback" not in "".join(service.raw)


def _writer(parent: int) -> int:
    """The service's child that has the database open."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            opened = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if int(fields[1]) == parent and any("requests.db" in name for name in opened):
            return int(folder.name)
    raise AssertionError("no child has the database open")


def runs(pid: int) -> bool:
    """Whether the process does anything any more; one that has ended may still wait to be collected."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


async def test_a_program_ends_with_a_killed_service_and_only_its_second_attempt_takes_effect(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    source = "echo $$ >> pids; while [ ! -e go ]; do sleep 0.01; done; echo paid >> effects"
    service = start_service(
        "version: 1\n"
        "server: {port: 0}\n"
        "backends: {store: {use: sqlite, path: ./q.db}}\n"
        "logs: {format: json}\n"
        f"actions:\n  pay: {{handler: command, with: {{argv: [sh, -c, {json.dumps(source)}]}}, mode: async}}\n"
    )
    pids = tmp_path / "pids"
    async with websockets.connect(f"{service.url}?client_id=me") as socket:
        await ask(socket, "pay", "p")
        assert (await hear(socket))["type"] == "acknowledgment"
        while not pids.exists() or not pids.read_text().strip():
            await asyncio.sleep(0.01)
    service.kill()
    again = start_service(service.config)
    while len(pids.read_text().split()) < 2:
        await asyncio.sleep(0.01)
    first, second = map(int, pids.read_text().split())
    # On a busy machine the supervisor may kill the first when the second has begun already.
    async with asyncio.timeout(90):
        while runs(first):
            await asyncio.sleep(0.01)
    assert runs(second)
    (tmp_path / "go").touch()
    async with websockets.connect(f"{again.url}?client_id=me") as socket:
        await ask(socket, "streamer.resume", "resume")
        while (await hear(socket))["type"] != "complete":
            pass
    assert (tmp_path / "effects").read_text() == "paid\n"
