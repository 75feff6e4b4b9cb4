"""Posts to API Gateway: what passes is tried again, what is gone is forgotten, and everything goes out in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import ConnectionGone, StoreUnavailable
from streamer.core.messages import Acknowledgment
from streamer.core.principal import Principal
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle
from streamer_aws.connections import manager
from streamer_aws.connections.manager import FULL_FOR, MAX_MESSAGE, TRIES, ApiGatewayConnections, NotPosted


def refusal(code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PostToConnection")


GONE = refusal("GoneException", 410)
TOO_FAST = refusal("LimitExceededException", 429)
BROKEN = refusal("InternalServerError", 500)


class Gateway:
    """Part of the client. It answers with what a test has put down, and is otherwise content."""

    def __init__(self):
        self.answers = []
        self.posts = []
        self.calls = []
        self.gate = None

    async def post_to_connection(self, *, ConnectionId, Data):  # noqa: N803 - the library's names
        await self._answer("post", ConnectionId)
        self.posts.append((ConnectionId, Data))

    async def get_connection(self, *, ConnectionId):  # noqa: N803 - as above
        await self._answer("get", ConnectionId)

    async def delete_connection(self, *, ConnectionId):  # noqa: N803 - as above
        await self._answer("delete", ConnectionId)

    async def _answer(self, kind, name):
        self.calls.append((kind, name))
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            answer = self.answers.pop(0)
            if answer is not None:
                raise answer


class HastyClock(ManualClock):
    """Time that passes by itself while somebody sleeps."""

    async def sleep(self, seconds):
        self._monotonic += seconds


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def opened():
    return []


@pytest.fixture
def make(gateway, rows, subscriptions, opened):
    def made(endpoint="https://api.example/live"):
        @contextlib.asynccontextmanager
        async def open_client(url):
            opened.append(url)
            yield gateway
            opened.append("closed")

        return ApiGatewayConnections(
            open_client,
            endpoint,
            rows=rows,
            subscriptions=subscriptions,
            clock=HastyClock(),
            logger=RecordingLogger(),
            generator=random.Random(1),
        )

    return made


@pytest.fixture
def connections(make):
    return make()


@pytest.mark.parametrize("message", [b'{"a":1}', {"a": 1}])
async def test_a_message_is_posted_as_json(connections, gateway, message):
    await connections.send("c1", message)
    assert gateway.posts == [("c1", b'{"a":1}')]


async def test_structs_are_messages_and_other_things_are_not(connections, gateway):
    await connections.send("c1", Acknowledgment("r1"))
    assert json.loads(gateway.posts[0][1])["request_id"] == "r1"
    with pytest.raises(TypeError, match="may not contain a object"):
        await connections.send("c1", {"a": object()})


@pytest.mark.parametrize("passing", [TOO_FAST, BROKEN, ConnectTimeoutError(endpoint_url="x")])
async def test_what_may_pass_is_tried_again(connections, gateway, passing):
    gateway.answers = [passing] * (TRIES - 1)
    await connections.send("c1", b"{}", replaces="r1", final=True)
    assert gateway.posts == [("c1", b"{}")]


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (TOO_FAST, "asks for fewer calls"),
        (BROKEN, "API Gateway fails"),
        (ConnectTimeoutError(endpoint_url="x"), "cannot be reached at https://api.example/live"),
    ],
)
async def test_what_does_not_pass_is_given_up_and_told(connections, gateway, failure, says):
    gateway.answers = [failure] * TRIES
    with pytest.raises(NotPosted, match=says):
        await connections.send("c1", b"{}", replaces="r1", final=True)
    assert gateway.posts == []


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (refusal("ForbiddenException", 403), r"ForbiddenException.*execute-api:ManageConnections"),
        (refusal("BadRequestException", 400), "refuses post_to_connection at https://api.example/live"),
        (NoCredentialsError(), "cannot call"),
    ],
)
async def test_what_no_trying_helps_is_told_at_once(connections, gateway, failure, says):
    gateway.answers = [failure]
    with pytest.raises(NotPosted, match=says):
        await connections.send("c1", b"{}")
    assert len(gateway.calls) == 1


async def test_an_answer_is_tried_twice_and_then_its_connection_is_closed_and_left_alone_for_a_while(
    connections, gateway
):
    gateway.answers = [TOO_FAST] * 2
    with pytest.raises(NotPosted):
        await connections.send("c1", b"answer")
    assert gateway.calls == [("post", "c1"), ("post", "c1"), ("delete", "c1")]
    gateway.calls.clear()
    for _ in range(20):
        with pytest.raises(NotPosted, match="does not read"):
            await connections.send("c1", b"answer")
        await connections.send("c1", b"progress", replaces="r1")
    assert gateway.calls == []
    gateway.answers = [TOO_FAST]
    with pytest.raises(NotPosted):
        await connections.send("c1", b"outcome", replaces="r1", final=True)
    assert gateway.calls == [("post", "c1")]
    await connections.send("c2", b"answer")
    await connections._clock.advance(FULL_FOR)
    await connections.send("c1", b"answer")
    assert gateway.posts == [("c2", b"answer"), ("c1", b"answer")]


async def test_only_so_many_connections_are_remembered_as_full(connections, gateway, monkeypatch):
    monkeypatch.setattr(manager, "MOST_FULL", 2)
    for name in ("c1", "c2", "c3"):
        gateway.answers = [TOO_FAST] * 3
        with pytest.raises(NotPosted):
            await connections.send(name, b"answer")
    gateway.answers = []
    assert sorted(connections._full) == ["c2", "c3"]


async def test_progress_that_comes_too_fast_is_dropped_and_an_outcome_is_not(connections, gateway):
    gateway.answers = [TOO_FAST, TOO_FAST]
    await connections.send("c1", b"progress", replaces="r1")
    await connections.send("c1", b"outcome", replaces="r1", final=True)
    assert gateway.posts == [("c1", b"outcome")]


async def test_a_connection_that_is_gone_is_forgotten(connections, gateway, rows):
    await rows.add("c1", ConnectionInfo("client:me", None))
    gateway.answers = [GONE]
    with pytest.raises(ConnectionGone):
        await connections.send("c1", b"{}")
    assert await rows.get("c1") is None


async def test_a_connection_that_cannot_be_forgotten_now_is_gone_all_the_same(connections, gateway, rows):
    async def broken(name, /):
        raise StoreUnavailable("not now")

    rows.remove = broken
    gateway.answers = [GONE]
    with pytest.raises(ConnectionGone):
        await connections.send("c1", b"{}")
    assert connections._logger.events() == ["a closed connection was not deleted"]


async def test_a_long_message_goes_out_in_parts_that_nothing_else_of_this_process_comes_between(connections, gateway):
    long = json.dumps({"type": "complete", "request_id": "r1", "result": "x" * 300_000}).encode()
    await asyncio.gather(connections.send("c1", long), connections.send("c1", b"{}"))
    parts = [json.loads(data) for _, data in gateway.posts[:-1]]
    assert all(len(data) <= MAX_MESSAGE for _, data in gateway.posts)
    assert "".join(part["data"] for part in parts).encode() == long
    assert gateway.posts[-1] == ("c1", b"{}")


async def test_messages_to_one_connection_keep_their_order_and_others_do_not_wait(connections, gateway):
    gateway.gate = asyncio.Event()
    sending = [asyncio.create_task(connections.send("c1", str(n).encode())) for n in range(3)]
    other = asyncio.create_task(connections.send("c2", b"x"))
    await settle()
    assert gateway.calls == [("post", "c1"), ("post", "c2")]
    gateway.gate.set()
    await asyncio.gather(*sending, other)
    assert [data for name, data in gateway.posts if name == "c1"] == [b"0", b"1", b"2"]
    assert connections._turns == {}


async def test_a_broadcast_tells_who_is_gone_and_goes_on_where_one_fails(connections, gateway):
    gateway.answers = [None, GONE, refusal("BadRequestException", 400), None]
    assert await connections.broadcast(["c1", "c2", "c3", "c4"], {"a": 1}) == ["c2"]
    assert sorted(name for name, _ in gateway.posts) == ["c1", "c4"]
    assert connections._logger.events() == ["broadcast failed"]


async def test_whether_a_connection_is_there_is_asked_of_api_gateway(connections, gateway):
    gateway.answers = [None, GONE]
    assert [await connections.is_active("c1"), await connections.is_active("c1")] == [True, False]


async def test_a_connection_is_closed_once_and_then_there_is_none(connections, gateway):
    gateway.answers = [None, GONE]
    await connections.close("c1")
    await connections.close("c1")
    assert gateway.calls == [("delete", "c1")] * 2


async def test_connections_are_found_by_user_and_tenant(connections, rows):
    for name, user, tenant in (("c1", "ada", "acme"), ("c2", "bob", "acme"), ("c3", "ada", "")):
        principal = Principal(user_id=user, tenant_id=tenant)
        await rows.add(name, ConnectionInfo(principal.owner, principal))
    await rows.add("c4", ConnectionInfo("client:me", None))
    assert await connections.by_user("ada", "acme") == ["c1"]
    assert await connections.by_user("ada") == ["c3"]
    assert sorted(await connections.by_tenant("acme")) == ["c1", "c2"]
    assert await connections.by_tenant("") == []


async def test_the_client_is_made_when_it_is_first_needed_where_the_first_word_says(make, opened):
    connections = make(None)
    with pytest.raises(NotPosted, match="AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"):
        await connections.send("c1", b"{}")
    connections.use_endpoint("https://one.example/live")
    connections.use_endpoint("https://two.example/live")
    assert opened == []
    await connections.send("c1", b"{}")
    await connections.send("c1", b"{}")
    await connections.aclose()
    assert opened == ["https://one.example/live", "closed"]
