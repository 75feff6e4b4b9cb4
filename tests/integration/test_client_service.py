"""The project's own clients against a real service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streamer.client import ConnectionLost, RequestFailed, StreamerClient, SyncStreamerClient

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
actions:
  echo:
    handler: echo
    schema: {type: object, properties: {n: {type: integer}}, required: [n]}
  nap:
    handler: delay
    with: {delay: 200ms}
    mode: async
  long:
    handler: delay
    with: {delay: 1h}
    mode: async
"""


async def test_requests_of_both_kinds_go_side_by_side_over_one_connection(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        seen: list[float] = []
        nap = asyncio.ensure_future(client.request("nap", on_progress=lambda update: seen.append(update.percentage)))
        answers = await asyncio.gather(*(client.request("echo", {"n": n}) for n in range(300)))
        assert [answer["echo"]["n"] for answer in answers] == list(range(300))
        assert (await nap)["steps"] == 10
        assert seen[0] == 10
        assert seen[-1] == 100
        assert seen == sorted(seen)


async def test_an_error_arrives_as_an_exception_with_its_code_and_every_violation(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        with pytest.raises(RequestFailed) as refused:
            await client.request("echo", {"n": "one"})
        assert refused.value.code == "VALIDATION_ERROR"
        assert refused.value.details["errors"][0]["path"] == "/n"
        with pytest.raises(RequestFailed) as unknown:
            await client.request("ecoh")
        assert unknown.value.details["did_you_mean"] == ["echo"]


async def test_the_services_own_actions_answer(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url) as client:
        await client.ping()
        actions = {action["action"]: action for action in await client.actions()}
        assert set(actions) == {"echo", "nap", "long"}
        assert actions["nap"]["queued"] is True
        handle = await client.submit("nap")
        await handle.acknowledged()
        assert (await client.status(handle.id))["status"] in ("PENDING", "PROCESSING")
        await handle.result()
        assert (await client.status(handle.id))["status"] == "COMPLETED"


async def test_a_request_outlives_the_service_and_its_owner_can_ask_for_it(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with StreamerClient(service.url, client_id="the-owner", reconnect=False) as client:
        handle = await client.submit("nap")
        await handle.acknowledged()
        service.kill()
        with pytest.raises(ConnectionLost):
            await handle.result()
    service = start_service(service.config)
    async with StreamerClient(service.url, client_id="somebody-else") as stranger:
        with pytest.raises(RequestFailed) as refused:
            await stranger.status(handle.id)
        assert refused.value.code == "NOT_FOUND"
    async with StreamerClient(service.url, client_id="the-owner") as client:
        while (status := await client.status(handle.id))["status"] != "COMPLETED":
            await client.ping()
        assert status["result"]["steps"] == 10


def test_the_blocking_client_does_the_same(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    with SyncStreamerClient(service.url) as client:
        assert client.request("echo", {"n": 1})["echo"] == {"n": 1}
        seen: list[float] = []
        assert client.request("nap", on_progress=lambda update: seen.append(update.percentage))["steps"] == 10
        assert seen[-1] == 100
