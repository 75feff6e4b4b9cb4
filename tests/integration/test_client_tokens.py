"""The project's own clients prove who they are to a real service, while tokens run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from streamer.client import (
    ConnectionFailed,
    ConnectionLost,
    Forbidden,
    StreamerClient,
    SyncStreamerClient,
    Unauthorized,
)
from streamer.testing import ManualClock

SECRET = "a secret of this test alone, of 32 bytes or more"
CONFIG = f"""
version: 1
server: {{port: 0, allowed_origins: ["https://app.example.com"], refused_limit: 3/1m}}
backends: {{store: {{use: sqlite, path: ./requests.db}}}}
logs: {{format: json}}
auth: {{use: jwt, leeway: 0s, secret: "{SECRET}"}}
actions:
  echo: {{handler: echo}}
  nap: {{handler: delay, with: {{delay: 2s}}, mode: async}}
"""


def token(lifetime: float = 300.0, **claims: Any) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + lifetime, **claims}, SECRET, algorithm="HS256")


class Tokens:
    """Brings the tokens one after the other, and then good ones; counts."""

    def __init__(self, *first: str) -> None:
        self.first = list(first)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.first.pop(0) if self.first else token()

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self()


@pytest.fixture(scope="module")
def service(start_shared_service: Callable[..., Any]) -> Any:
    return start_shared_service(CONFIG)


def still() -> ManualClock:
    """A clock that stands: nothing is renewed before the service ends the connection."""
    return ManualClock(now=time.time())


async def test_who_waits_does_not_notice_that_the_token_ran_out(service: Any) -> None:
    tokens = Tokens(token(lifetime=1))
    back = []
    client = StreamerClient(service.url, token=tokens.later, clock=still(), on_reconnect=lambda: back.append(1))
    async with client:
        seen: list[float] = []
        assert (await client.request("nap", on_progress=lambda update: seen.append(update.percentage)))["steps"] == 10
        assert seen == sorted(set(seen))
    assert (tokens.asked, back) == (2, [1])


async def test_a_token_alone_ends_the_waiting_with_what_to_do_and_a_later_client_of_the_user_has_the_result(
    service: Any,
) -> None:
    async with StreamerClient(service.url, token=token(lifetime=1)) as client:
        handle = await client.submit("nap")
        with pytest.raises(ConnectionLost, match="pass a function as token=") as lost:
            await handle
        assert (lost.value.code, lost.value.reconnect) == (3500, False)
    async with StreamerClient(service.url, token=token()) as client:
        assert (await (await client.resume(handle.id)))["steps"] == 10


async def test_a_token_is_renewed_on_the_standing_connection_and_the_service_keeps_it(service: Any) -> None:
    clock = still()
    tokens = Tokens(token(lifetime=2))
    async with StreamerClient(service.url, token=tokens, clock=clock, reconnect=False) as client:
        while not clock.sleepers:
            await asyncio.sleep(0)
        await clock.advance(2)
        nap = await client.submit("nap")
        # Longer than the first token lives, by the service's clock.
        assert (await nap)["steps"] == 10
        assert tokens.asked == 2


async def test_what_authenticate_tells_is_what_the_token_says(service: Any) -> None:
    async with StreamerClient(service.url, token=token(tenant_id="acme")) as client:
        told = await client.authenticate()
        assert (told["user_id"], told["tenant_id"], told["expires_at"][-1]) == ("alice", "acme", "Z")
        with pytest.raises(Unauthorized):
            await client.authenticate("e30.e30.e30")
        with pytest.raises(Forbidden):
            await client.authenticate(token(sub="bob"))
        assert (await client.request("echo", 1))["echo"] == 1


async def test_a_first_token_that_is_refused_is_followed_by_one_fresh_one(service: Any) -> None:
    tokens = Tokens(token(lifetime=-1))
    async with StreamerClient(service.url, token=tokens) as client:
        assert (await client.request("echo", 1))["echo"] == 1
    assert tokens.asked == 2


@pytest.mark.parametrize(
    ("given", "asked", "advice"),
    [
        (None, 0, "the service requires authentication: pass the client a token="),
        ("e30.e30.e30", 0, "the token is invalid or has expired"),
        (Tokens(*["e30.e30.e30"] * 3), 2, "refused two fresh tokens"),
    ],
)
async def test_a_service_that_lets_nobody_in_says_what_to_do(service: Any, given: Any, asked: int, advice: str) -> None:
    with pytest.raises(ConnectionFailed, match=advice) as failed:
        await StreamerClient(service.url, token=given).connect()
    assert (failed.value.status, failed.value.reconnect) == (401, False)
    assert getattr(given, "asked", 0) == asked


async def test_a_page_of_another_origin_is_told_at_once(service: Any) -> None:
    with pytest.raises(ConnectionFailed, match="define the allowed origins, tenants and users") as failed:
        await StreamerClient(service.url, token=token, headers={"Origin": "https://evil.example.com"}).connect()
    assert (failed.value.status, failed.value.reconnect) == (403, False)


async def test_a_client_that_asks_for_nonsense_again_and_again_is_told_and_stays_away(service: Any) -> None:
    async with StreamerClient(service.url, token=token) as client:
        await asyncio.gather(*(client.request("no such action!") for _ in range(9)), return_exceptions=True)
        with pytest.raises(ConnectionLost, match="1008 .*fix that before connecting again"):
            await client.ping()


async def test_no_token_is_in_the_log(service: Any) -> None:
    secret = token()
    async with StreamerClient(service.url, token=secret) as client:
        await client.ping()
        await client.authenticate()
    assert secret not in "".join(service.raw)


def test_the_blocking_client_survives_a_token_that_ran_out_too(service: Any) -> None:
    tokens = Tokens(token(lifetime=1))
    with SyncStreamerClient(service.url, token=tokens, clock=still()) as client:
        assert client.request("nap")["steps"] == 10
        assert client.authenticate()["user_id"] == "alice"
    assert tokens.asked == 3
