"""`streamer.authenticate`: a new token for the same user, or nothing changes."""

import asyncio
from contextvars import ContextVar

import pytest

from streamer.contracts.auth import Authenticator
from streamer.core.errors import FORBIDDEN, UNAUTHORIZED, Error
from streamer.core.principal import Principal
from streamer.engine.renewal import NAME, Authenticate, renewal_route
from streamer.testing.clock import settle

ALICE = Principal(user_id="alice", tenant_id="acme", expires_at=1_767_225_600.0)
PROOFS = {
    "longer": Principal(user_id="alice", tenant_id="acme", expires_at=1_767_229_200.0, permissions=frozenset({"p"})),
    "for ever": Principal(user_id="alice", tenant_id="acme"),
    "another user": Principal(user_id="bob", tenant_id="acme"),
    "another tenant": Principal(user_id="alice", tenant_id="globex"),
    "collides": Principal(user_id="alice/x", tenant_id="acme"),
}


class ConnectionInfo(Authenticator):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    async def authenticate(self, token):
        if token.startswith("slow "):
            await asyncio.sleep(0)
            token = token.removeprefix("slow ")
        if token not in PROOFS:
            raise Error(UNAUTHORIZED, "The token has expired")
        return PROOFS[token]


def renewing(house):
    return lambda connection_id, principal: setattr(house.connections.get(connection_id), "principal", principal)


@pytest.fixture(params=[True, False], ids=["immediate", "in a task"])
async def peer(house, request):
    """A connection of alice, whose renewals are kept as a transport keeps them."""
    authenticator = ConnectionInfo(immediate=request.param)
    handler = Authenticate(authenticator, renewing(house))
    house.service_routes[NAME] = renewal_route(handler, authenticator)

    async def echo(request):
        return sorted(request.principal.permissions)

    house.declare("mine", echo, immediate=True, permissions=frozenset({"p"}))
    made = house.peer(owner=ALICE.owner)
    made.principal = ALICE
    return made


async def answer(house, peer, payload):
    house.send(peer, action=NAME, payload=payload)
    await settle()
    return peer.messages[-1]


@pytest.mark.parametrize(
    ("token", "expires_at"),
    [("longer", "2026-01-01T01:00:00.000Z"), ("slow longer", "2026-01-01T01:00:00.000Z"), ("for ever", None)],
)
async def test_a_new_token_takes_the_place_of_the_old_one(house, peer, token, expires_at):
    told = await answer(house, peer, {"token": token})
    assert told["data"] == {"user_id": "alice", "tenant_id": "acme", "expires_at": expires_at}
    assert peer.principal is PROOFS[token.removeprefix("slow ")]


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_renewal_is_written_down_within_one_task(house, immediate):
    word = ContextVar("word")

    async def write(connection_id, principal):
        token = word.set(connection_id)
        await asyncio.sleep(0)
        word.reset(token)

    authenticator = ConnectionInfo(immediate=immediate)
    house.service_routes[NAME] = renewal_route(Authenticate(authenticator, write), authenticator)
    peer = house.peer(owner=ALICE.owner)
    peer.principal = ALICE
    assert (await answer(house, peer, {"token": "longer"}))["success"]


@pytest.mark.parametrize("token", ["another user", "another tenant", "collides"])
async def test_a_connection_keeps_its_user_and_tenant(house, peer, token):
    assert (await answer(house, peer, {"token": token}))["error"]["code"] == FORBIDDEN
    assert peer.principal is ALICE


async def test_a_token_that_proves_nothing_changes_nothing(house, peer):
    told = await answer(house, peer, {"token": "old"})
    assert (told["error"]["code"], told["error"]["message"]) == (UNAUTHORIZED, "The token has expired")
    assert peer.principal is ALICE


@pytest.mark.parametrize("payload", [None, {}, {"token": 7}, {"token": ""}, {"token": "longer", "user": "bob"}])
async def test_the_payload_is_checked(house, peer, payload):
    assert (await answer(house, peer, payload))["error"]["code"] == "VALIDATION_ERROR"


async def test_what_the_client_sends_next_is_already_the_new_principals(house, peer):
    house.send(peer, action=NAME, payload={"token": "longer"})
    house.send(peer, action="mine")
    if house.router.service_routes[NAME].immediate:
        assert peer.messages[-1]["data"] == ["p"]
    else:
        # An authenticator that needs a task answers later.
        assert peer.messages[-1]["error"]["code"] == FORBIDDEN


async def test_a_connection_that_never_proved_itself_cannot_begin_so(house, peer):
    peer.principal = None
    assert (await answer(house, peer, {"token": "longer"}))["error"]["code"] == FORBIDDEN


async def test_without_authentication_the_action_is_not_there(house):
    _ = house.worker
    peer = house.peer()
    assert (await answer(house, peer, {"token": "longer"}))["error"]["code"] == "INVALID_ACTION"


async def test_a_token_is_never_put_into_the_queue(house, peer):
    house.send(peer, action=NAME, payload={"token": "longer"}, wait=0, id="r")
    await settle()
    assert peer.kinds("r") == ["response"]
    assert sum((await house.store.counts()).values()) == 0


async def test_no_token_is_logged(house, peer):
    for token in ("longer", "old", "another user"):
        await answer(house, peer, {"token": token})
    assert house.logger.lines == []


async def test_the_list_of_actions_is_what_the_caller_may_use(house, peer):
    house.declare("open", lambda request: request)

    def listed(of):
        house.send(of, action="streamer.actions")

    listed(peer)
    await settle()
    assert [action["action"] for action in peer.messages[-1]["data"]["actions"]] == ["open"]
    await answer(house, peer, {"token": "longer"})
    listed(peer)
    await settle()
    assert [action["action"] for action in peer.messages[-1]["data"]["actions"]] == ["mine", "open"]
    nobody = house.peer("c2", "client:two")
    listed(nobody)
    await settle()
    assert [action["action"] for action in nobody.messages[-1]["data"]["actions"]] == ["open"]
