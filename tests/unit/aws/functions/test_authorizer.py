"""Who comes in through API Gateway, by the same rules as at the service's own handshake."""

from __future__ import annotations

import pytest

from streamer.config.settings import ServerSettings
from streamer.contracts.auth import Authenticator
from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import FORBIDDEN, OVERLOADED, UNAUTHORIZED, Error, StoreUnavailable, StreamerError
from streamer.core.owners import OWNER_KEY, OwnerNames
from streamer.core.principal import Principal
from streamer_aws.functions.authorizer import GatewayAuthorizer

ADA = Principal(user_id="ada", tenant_id="acme", permissions=frozenset({"read"}), expires_at=2e9)


class Tokens(Authenticator):
    """Knows three tokens."""

    leeway = 10.0

    async def authenticate(self, token, /):
        if token == "ada":
            return ADA
        code = {"banned": FORBIDDEN, "busy": OVERLOADED}.get(token, UNAUTHORIZED)
        raise Error(code, f"the token {code.lower()}")


@pytest.fixture
def make_authorizer(house):
    left = []

    async def leave(connection_id):
        left.append(connection_id)

    def make(authenticator=None, **server):
        authorizer = GatewayAuthorizer(
            house.connections,
            authenticator,
            ServerSettings(**server),
            clock=house.clock,
            logger=house.log,
            leave=leave,
        )
        authorizer.left = left
        return authorizer

    return make


def connect_event(connection_id="c1", headers=(), query=None, *, multiple=True):
    event = {"requestContext": {"connectionId": connection_id, "eventType": "CONNECT"}, "headers": dict(headers)}
    if multiple:
        event["multiValueHeaders"] = {name: [value] for name, value in headers}
    if query is not None:
        event["queryStringParameters"] = query
    return event


def message_event(connection_id="c1"):
    return {"requestContext": {"connectionId": connection_id, "eventType": "MESSAGE"}, "body": "{}"}


async def test_without_authentication_the_client_id_or_else_the_connection_owns_its_requests(house, make_authorizer):
    authorizer = make_authorizer()
    assert await authorizer.connect(connect_event("c1", query={"client_id": "me"})) == {
        "statusCode": 200,
        "headers": {},
    }
    assert (await authorizer.connect(connect_event("c2")))["statusCode"] == 200
    owner = OwnerNames(await house.rows.keep(OWNER_KEY, b"")).client("me")
    assert await house.rows.get("c1") == ConnectionInfo(owner, None)
    assert await house.rows.get("c2") == ConnectionInfo("connection:c2", None)
    info = await authorizer.identify(message_event("c1"))
    assert (info.owner, info.principal) == (owner, None)


async def test_all_sandboxes_give_a_client_the_same_owner_and_none_holds_its_secret(house, make_authorizer):
    for name in ("c1", "c2"):
        await make_authorizer().connect(connect_event(name, query={"client_id": "a secret"}))
    first, second = await house.rows.get("c1"), await house.rows.get("c2")
    assert first == second
    assert "a secret" not in first.owner


async def test_a_client_is_refused_while_its_owner_cannot_be_named(house, make_authorizer, monkeypatch):
    async def fail(*_):
        raise StoreUnavailable("throttled")

    monkeypatch.setattr(house.rows, "keep", fail)
    answer = await make_authorizer().connect(connect_event("c1", query={"client_id": "me"}))
    assert answer["statusCode"] == 503
    assert (await make_authorizer().connect(connect_event("c2")))["statusCode"] == 200


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("Authorization", "Bearer ada")], None),
        ([("authorization", "bearer ada")], None),
        ([("Sec-WebSocket-Protocol", "bearer, ada")], None),
        ([], {"token": "ada"}),
        ([], {"Authorization": "Bearer ada"}),
    ],
)
@pytest.mark.parametrize("multiple", [True, False])
async def test_a_token_is_found_wherever_it_may_stand(house, make_authorizer, headers, query, multiple):
    answer = await make_authorizer(Tokens()).connect(connect_event(headers=headers, query=query, multiple=multiple))
    assert answer["statusCode"] == 200
    chosen = {"Sec-WebSocket-Protocol": "bearer"} if any("bearer, ada" in value for _, value in headers) else {}
    assert answer["headers"] == chosen
    assert await house.rows.get("c1") == ConnectionInfo(ADA.owner, ADA)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ([], None, 401),
        ([("Authorization", "Bearer wrong")], None, 401),
        ([("Authorization", "Bearer banned")], None, 403),
        ([("Authorization", "Bearer busy")], None, 503),
        ([("Sec-WebSocket-Protocol", "bearer, ada, bob")], None, 401),
        ([("Authorization", "Bearer ada"), ("Origin", "https://evil.example")], None, 403),
        ([], {"token": "ada", "client_id": ""}, 400),
    ],
)
async def test_whoever_may_not_come_in_is_told_why_and_is_not_written_down(
    house, make_authorizer, headers, query, status
):
    authorizer = make_authorizer(Tokens(), allowed_origins=("https://app.example",))
    answer = await authorizer.connect(connect_event(headers=headers, query=query))
    assert answer["statusCode"] == status
    assert answer["body"].strip()
    assert await house.rows.get("c1") is None


async def test_a_page_of_an_allowed_origin_comes_in(make_authorizer):
    authorizer = make_authorizer(allowed_origins=("https://app.example",))
    assert (await authorizer.connect(connect_event(headers=[("Origin", "https://app.example")])))["statusCode"] == 200


async def test_a_connection_that_cannot_be_written_down_is_refused_for_now(house, make_authorizer):
    async def broken(*_arguments):
        raise StoreUnavailable("not now")

    house.rows.add = broken
    answer = await make_authorizer().connect(connect_event())
    assert (answer["statusCode"], answer["headers"]) == (503, {"Retry-After": "1"})
    assert house.log.events("error") == ["a connection could not be stored"]


async def test_a_message_of_nobody_known_ends_its_connection(house, make_authorizer):
    assert await make_authorizer().identify(message_event("ghost")) is None
    assert house.connections.closed == ["ghost"]


async def test_a_token_that_ran_out_ends_its_connection_after_the_leeway(house, make_authorizer):
    authorizer = make_authorizer(Tokens())
    soon = Principal(user_id="ada", expires_at=house.clock.now() + 60)
    await house.rows.add("c1", ConnectionInfo(soon.owner, soon))
    house.clock.jump(69)
    assert (await authorizer.identify(message_event())).principal == soon
    house.clock.jump(1)
    assert await authorizer.identify(message_event()) is None
    assert house.connections.closed == ["c1"]
    later = Principal(user_id="ada", expires_at=house.clock.now() + 60)
    await house.rows.renew("c1", later)
    assert (await authorizer.identify(message_event())).principal == later


async def test_a_connection_that_cannot_be_closed_is_told_in_the_log(house, make_authorizer):
    async def broken(connection_id, /):
        raise StreamerError("not now")

    house.connections.close = broken
    assert await make_authorizer().identify(message_event("ghost")) is None
    assert house.log.events("warning") == ["a connection was not closed"]


async def test_a_disconnect_forgets_may_come_twice_and_tells_what_was_left(house, make_authorizer):
    authorizer = make_authorizer()
    await authorizer.connect(connect_event())
    for _ in range(2):
        await authorizer.disconnect({"requestContext": {"connectionId": "c1", "eventType": "DISCONNECT"}})
    assert await house.rows.get("c1") is None
    assert authorizer.left == ["c1", "c1"]


async def test_a_disconnect_that_cannot_be_written_down_is_told_in_the_log(house, make_authorizer):
    async def broken(connection_id, /):
        raise StoreUnavailable("not now")

    house.rows.remove = broken
    authorizer = make_authorizer()
    await authorizer.disconnect({"requestContext": {"connectionId": "c1"}})
    assert house.log.events("warning") == ["the end of a connection was not stored"]
    assert authorizer.left == ["c1"]
