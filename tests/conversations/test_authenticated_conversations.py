"""Conversations with a service that wants to know who asks, in every home and with every client.

What may differ between homes is said in `test_conversations.py`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from dialogue.client import Refused
from dialogue.deployments import GUARDED, SECRET, SERVICE, Home
from dialogue.messages import acknowledgment, complete, echo, error, progress, response

pytestmark = pytest.mark.asyncio(loop_scope="module")
plain = pytest.mark.clients("websockets", "ws")
"""What this project's clients would not say."""

Open = Callable[..., Any]
MISSING = {"missing_permissions": ["secrets:read"]}
READER = ["secrets:read"]


@pytest.fixture(scope="module")
def service_text() -> str:
    return SERVICE + GUARDED


def token(user: str = "alice", *, secret: str = SECRET, lifetime: float = 86400, **claims: Any) -> str:
    made = {"sub": user, "tenant_id": "acme", "exp": time.time() + lifetime, **claims}
    return jwt.encode(made, secret, algorithm="HS256")


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (None, 401),
        ("no-token-at-all", 401),
        (token(secret="a secret of somebody else, as long as the real one"), 401),
        (token(lifetime=-300), 401),
        (token(tenant_id="elsewhere"), 403),
    ],
    ids=["nothing", "nonsense", "forged", "expired", "tenant"],
)
async def test_whoever_is_not_let_in_is_told_so_before_there_is_a_connection(
    open_client: Open, shown: str | None, status: int
) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(token=shown)
    assert refused.value.status == status


@pytest.mark.parametrize("way", ["header", "subprotocol", "query"])
@plain
async def test_a_token_comes_in_one_of_three_ways(open_client: Open, way: str) -> None:
    mine = token()
    ways: dict[str, Any] = {
        "header": {"token": mine},
        "subprotocol": {"subprotocols": ["bearer", mine]},
        "query": {"query": f"token={mine}"},
    }
    client = await open_client(**ways[way])
    assert await client.call("who") == {"user": "alice", "queued": False}


async def test_a_handler_knows_who_asks_at_once_and_later(open_client: Open) -> None:
    user = f"bob-{secrets.token_hex(4)}"
    client = await open_client(token=token(user))
    await client.ask("who", id="direct")
    await client.ask("who", id="queued", wait=0)
    assert await client.heard("direct") == [response("direct", {"user": user, "queued": False})]
    assert await client.heard("queued") == [
        acknowledgment("queued"),
        complete("queued", {"user": user, "queued": True}),
    ]


async def test_an_action_needs_its_permissions(open_client: Open) -> None:
    client, reader = await open_client(token=token()), await open_client(token=token(permissions=READER))
    for action in ("secrets", "later_secrets"):
        await client.ask(action, id=action)
        refused = error(action, "FORBIDDEN", f"You may not use {action!r}: permissions are missing", **MISSING)
        assert await client.heard(action) == [refused]
    await reader.ask("secrets", 1, id="r1")
    assert await reader.heard("r1") == [response("r1", echo(1, "secrets"))]
    listed = [
        {action["action"] for action in (await one.call("streamer.actions"))["actions"]} for one in (client, reader)
    ]
    assert listed[1] - listed[0] == {"secrets", "later_secrets"}


async def test_a_new_token_on_the_same_connection_counts_from_then_on(open_client: Open) -> None:
    user = f"bob-{secrets.token_hex(4)}"
    client = await open_client(token=token(user))
    assert (await client.call("secrets"))["code"] == "FORBIDDEN"
    answer = await client.authenticate(token(user, permissions=READER))
    assert (answer["user_id"], answer["tenant_id"]) == (user, "acme")
    assert await client.call("secrets", 1) == echo(1, "secrets")
    await client.ask("later_secrets", id="r1")
    assert (await client.heard("r1"))[-1] == complete("r1", {"user": user, "queued": True})


@pytest.mark.parametrize(
    ("shown", "code"),
    [(token("mallory", permissions=READER), "FORBIDDEN"), (token(lifetime=-300), "UNAUTHORIZED")],
    ids=["of somebody else", "expired"],
)
async def test_a_new_token_that_is_not_taken_changes_nothing(open_client: Open, shown: str, code: str) -> None:
    client = await open_client(token=token())
    assert (await client.authenticate(shown))["code"] == code
    assert (await client.call("secrets"))["code"] == "FORBIDDEN"
    assert await client.call("who") == {"user": "alice", "queued": False}


async def test_requests_belong_to_the_user_over_all_connections_and_to_nobody_else(
    open_client: Open, home: Home
) -> None:
    # With tokens a client_id means nothing.
    name = f"bob-{secrets.token_hex(4)}"
    first, second = await open_client("one", token(name)), await open_client("two", token(name))
    stranger, neighbour = await open_client("one", token("dave")), await open_client("one", token(f"{name}-2"))
    await first.ask("forever", id="r1")
    await first.said("r1", "progress", percentage=1)
    for other in (stranger, neighbour):
        for action in ("status", "resume", "cancel"):
            refused = await other.call(f"streamer.{action}", {"request_id": "r1"})
            assert (refused["code"], refused["details"]) == ("NOT_FOUND", {"request_id": "r1"})
    await second.resume("r1")
    await second.cancel("r1")
    cancelled = error("r1", "CANCELLED", "The owner cancelled the request")
    begun = progress("r1", 1, "Begun")
    assert await first.heard("r1") == [acknowledgment("r1"), begun, cancelled]
    newest, *ended = await second.heard("r1")
    assert newest in home.told_anew(begun)
    assert ended == [cancelled]
