"""By default nobody fills the queue for everybody: neither one owner, nor one address under many names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import aiohttp

CONFIG = """
version: 1
server: {port: 0, drain_timeout: 100ms, trusted_proxies: [127.0.0.1]}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
worker: {max_queued: 20, concurrency: 1}
actions:
  later: {handler: delay, mode: async, with: {delay: 1h}}
"""


async def queue(url: str, client_id: str, count: int, address: str) -> list[dict[str, Any]]:
    """What one client hears of so many requests."""
    headers = {"X-Forwarded-For": address}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}?client_id={client_id}", headers=headers) as socket,
    ):
        for n in range(count):
            await socket.send_json({"action": "later", "id": f"r{n}"})
        heard: list[dict[str, Any]] = []
        while len(heard) < count:
            message = await socket.receive_json(timeout=20)
            if message["type"] in ("acknowledgment", "error"):
                heard.append(message)
        return heard


def kinds(heard: list[dict[str, Any]]) -> Counter[str]:
    return Counter(message["type"] for message in heard)


async def test_one_owner_and_one_address_have_a_share_and_others_are_taken(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    # One runs, and no longer waits.
    assert kinds(await queue(service.url, "first", 1, "203.0.113.1")) == {"acknowledgment": 1}
    heard = await queue(service.url, "greedy", 10, "192.0.2.7")
    assert kinds(heard) == {"acknowledgment": 2, "error": 8}
    refused = heard[-1]["error"]
    assert (refused["code"], refused["details"]["max_queued_per_owner"]) == ("OVERLOADED", 2)
    assert refused["details"]["retry_after_ms"] > 0
    heard = [message for n in range(12) for message in await queue(service.url, f"made-up-{n}", 1, "192.0.2.7")]
    assert kinds(heard) == {"acknowledgment": 3, "error": 9}
    assert heard[-1]["error"]["details"]["max_queued_per_address"] == 5
    assert kinds(await queue(service.url, "another", 2, "198.51.100.9")) == {"acknowledgment": 2}
    assert service.stop() == 0
    service = start_service(CONFIG)
    assert kinds(await queue(service.url, "made-up-again", 1, "192.0.2.7")) == {"error": 1}, "after a restart"
    assert service.stop() == 0
