"""The project's own client, while sockets are cut and services die: waiting for a request simply survives."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from streamer.client import Cancelled, ConnectionLost, StreamerClient, SyncStreamerClient

CONFIG = """
version: 1
server: {{port: {port}, drain_timeout: 10s}}
backends: {{store: {{use: sqlite, path: ./requests.db}}}}
logs: {{format: json}}
actions:
  echo: {{handler: echo}}
  nap: {{handler: delay, with: {{delay: 1s}}, mode: async}}
  long: {{handler: delay, with: {{delay: 1h}}, mode: async}}
  mark:
    handler: command
    with: {{argv: [sh, -c, 'echo run >> marks; echo "{{\\"result\\": 1}}"']}}
    mode: async
"""


def config(port: int = 0) -> str:
    return CONFIG.format(port=port)


async def test_a_cut_socket_in_the_middle_of_a_request_is_not_noticed_by_who_waits(
    start_service: Callable[..., Any],
    relay_to: Callable[..., Any],
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        seen: list[float] = []

        def note(update: Any) -> None:
            seen.append(update.percentage)
            if len(seen) in (2, 5):
                relay.cut()

        assert (await client.request("nap", on_progress=note))["steps"] == 10
        assert seen == sorted(set(seen))
        assert seen[-1] == 100
    assert service.stop() == 0


async def test_a_killed_service_that_comes_back_on_the_same_port_goes_on_with_the_request(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    async with StreamerClient(service.url, max_reconnect_delay=0.2) as client:
        begun = asyncio.Event()
        request = asyncio.create_task(client.request("nap", id="r", on_progress=lambda _update: begun.set()))
        await begun.wait()
        service.kill()
        service = await asyncio.to_thread(start_service, config(port))
        assert (await request)["steps"] == 10
        told = await client.status("r")
        assert (told["status"], told["attempt"]) == ("COMPLETED", 2)
    assert service.stop() == 0


async def test_a_drain_is_survived_by_what_runs_what_waits_and_what_is_asked_meanwhile(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    async with StreamerClient(service.url, max_reconnect_delay=0.2) as client:
        begun = asyncio.Event()
        running = asyncio.create_task(client.request("nap", on_progress=lambda _update: begun.set()))
        await begun.wait()
        os.kill(service.pid, signal.SIGTERM)
        while not any(line.get("event") == "draining" for line in service.log):
            await asyncio.sleep(0.002)
        direct = asyncio.create_task(client.request("echo", 1))
        queued = asyncio.create_task(client.request("nap"))
        assert await asyncio.to_thread(service.wait) == 0
        service = await asyncio.to_thread(start_service, config(port))
        assert (await running)["steps"] == 10
        assert (await direct)["echo"] == 1
        assert (await queued)["steps"] == 10
    assert service.stop() == 0


async def test_what_was_sent_but_never_acknowledged_runs_once(
    start_service: Callable[..., Any], relay_to: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        for number in range(10):
            handle = await client.submit("mark", id=f"r{number}")
            # The message is on its way; whether it arrives before the cut is chance, and must not matter.
            if number % 2:
                await asyncio.sleep(0)
            relay.cut()
            assert await handle == 1
    assert len((tmp_path / "marks").read_text().splitlines()) == 10
    assert service.stop() == 0


async def test_a_task_that_is_cancelled_cancels_its_request_on_the_service(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with StreamerClient(service.url) as client:
        request = asyncio.create_task(client.request("long", id="r"))
        while (await client.list())["requests"] == []:
            pass
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        while (told := await client.status("r"))["status"] != "CANCELLED":
            pass
        assert told["error"]["code"] == "CANCELLED"
    assert service.stop() == 0


async def test_cancelling_while_there_is_no_connection_is_done_on_the_next(
    start_service: Callable[..., Any], relay_to: Callable[..., Any]
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        handle = await client.submit("long", id="r")
        assert await handle.acknowledged()
        relay.cut()
        while client.connected:
            await asyncio.sleep(0.002)
        assert (await handle.cancel())["status"] == "CANCELLED"
        with pytest.raises(Cancelled):
            await handle
    assert service.stop() == 0


@pytest.mark.parametrize("known", [True, False], ids=["acknowledged", "unknown"])
async def test_a_task_that_is_cancelled_while_there_is_no_connection_cancels_its_request_on_the_next(
    start_service: Callable[..., Any], relay_to: Callable[..., Any], known: bool
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        request = asyncio.create_task(client.request("long", id="r"))
        if known:
            while (await client.list())["requests"] == []:
                pass
            relay.cut()
        else:
            # It is stored, and the word of it never comes.
            relay.cut_after(10)
        while client.connected:
            await asyncio.sleep(0.002)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        while (told := await client.status("r"))["status"] != "CANCELLED":
            pass
        assert told["error"]["code"] == "CANCELLED"
    assert service.stop() == 0


async def test_one_cut_after_the_other_while_it_resumes_loses_nothing(
    start_service: Callable[..., Any], relay_to: Callable[..., Any]
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.05) as client:
        requests = [asyncio.create_task(client.request("nap")) for _ in range(5)]
        for _ in range(20):
            await relay.opened.acquire()
            relay.cut()
        assert [(await request)["steps"] for request in requests] == [10] * 5
    assert service.stop() == 0


def check_wire(relay: Any) -> None:
    """Of each request: on each connection `seq` rises and nothing follows its one end; what is resent is the same."""
    sent: dict[str, Any] = {}
    asked_after: dict[str, int] = {}
    for connection in relay.passed:
        newest: dict[str, int] = {}
        ended = set()
        for message in connection.messages():
            request_id = message["request_id"]
            assert request_id not in ended
            if message["type"] in ("response", "complete", "error"):
                ended.add(request_id)
            if "seq" in message:
                assert message["seq"] > newest.get(request_id, -1)
                newest[request_id] = message["seq"]
        for request in connection.requests():
            assert sent.setdefault(request["id"], request) == request
            if request["action"] == "streamer.resume":
                about, after = request["payload"]["request_id"], request["payload"]["after_seq"]
                assert after >= asked_after.get(about, 0)
                asked_after[about] = after


async def test_whatever_breaks_each_request_ends_once_and_its_numbers_rise(
    start_service: Callable[..., Any], relay_to: Callable[..., Any], seed: int
) -> None:
    chance = random.Random(seed)
    service = start_service(config())
    port = urlsplit(service.url).port
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.1) as client:
        ends: list[str] = []
        seen: dict[str, list[float]] = {}

        async def ask(number: int) -> None:
            handle = await client.submit("nap" if number % 3 else "echo", number)
            seen[handle.id] = []
            newest = handle.seq
            async for update in handle:
                assert handle.seq > newest
                seen[handle.id].append(update.percentage)
            await handle
            ends.append(handle.id)

        async def cut_often() -> None:
            for _ in range(25):
                relay.cut_after(chance.randrange(2000))
                await relay.opened.acquire()

        requests = [asyncio.create_task(ask(number)) for number in range(30)]
        cutting = asyncio.create_task(cut_often())
        while not any(seen.values()):
            await asyncio.sleep(0.002)
        service.kill()
        service = await asyncio.to_thread(start_service, config(port))
        await asyncio.gather(*requests)
        cutting.cancel()
        assert len(relay.passed) > 2
        assert len(set(ends)) == len(ends) == 30
        # A second attempt begins anew; within one attempt percentages never fall.
        assert all(sum(later < earlier for earlier, later in pairwise(each)) <= 1 for each in seen.values())
        check_wire(relay)
    assert service.stop() == 0


async def test_a_request_whose_acknowledgment_was_cut_off_is_sent_again_with_the_same_id_and_runs_once(
    start_service: Callable[..., Any], relay_to: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.05) as client:
        relay.cut_after(10)
        assert await client.request("mark", 7) == 1
        first, second = relay.passed
        assert first.messages() == []
        assert first.requests() == second.requests()
        assert [message["type"] for message in second.messages()][-1] == "complete"
    assert (tmp_path / "marks").read_text().splitlines() == ["run"]
    assert service.stop() == 0


async def test_closing_while_it_connects_again_ends_quietly(
    start_service: Callable[..., Any], relay_to: Callable[..., Any]
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay:
        for turns in range(0, 60, 3):
            client = StreamerClient(relay.url, max_reconnect_delay=0.05)
            await client.connect()
            relay.cut()
            for _ in range(turns):
                await asyncio.sleep(0)
            await client.close()
            assert not client.connected
        # None is left to the service that would take results for a client that is gone.
        while relay.open:
            await asyncio.sleep(0.002)
    assert service.stop() == 0


async def test_another_process_of_the_same_client_takes_its_requests_up(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with StreamerClient(service.url, "me") as first:
        handle = await first.submit("nap", id="r")
        await handle.acknowledged()
    async with StreamerClient(service.url, "me") as second:
        assert json.loads(json.dumps(await (await second.resume("r"))))["steps"] == 10
    assert service.stop() == 0


def test_the_blocking_client_survives_a_drain_too(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    with SyncStreamerClient(service.url, max_reconnect_delay=0.2) as client:
        running = client.submit("nap")
        assert running.acknowledged()
        service.interrupt()
        queued = client.submit("nap")
        assert service.wait() == 0
        service = start_service(config(port))
        assert [handle.result()["steps"] for handle in (running, queued)] == [10, 10]
    assert service.stop() == 0


def test_a_blocking_request_whose_caller_breaks_off_is_cancelled_on_the_service(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())

    def breaks_off(_update: Any) -> None:
        raise KeyboardInterrupt

    with SyncStreamerClient(service.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.request("nap", id="r", on_progress=breaks_off)
        while client.status("r")["status"] != "CANCELLED":
            pass
    assert service.stop() == 0


def test_closing_the_blocking_client_ends_the_waiting_of_other_threads(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool, SyncStreamerClient(service.url) as client:
        handle = client.submit("long")
        assert handle.acknowledged()
        waiting = pool.submit(lambda: (begun.set(), handle.result()))
        begun.wait()
        client.close()
        with pytest.raises(ConnectionLost, match="closed by this client"):
            waiting.result(30)


def test_the_blocking_client_survives_a_kill_too(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    with SyncStreamerClient(service.url, max_reconnect_delay=0.2) as client:
        handle = client.submit("nap")
        service.kill()
        service = start_service(config(port))
        assert handle.result()["steps"] == 10
    assert service.stop() == 0
