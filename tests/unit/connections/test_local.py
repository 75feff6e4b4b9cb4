from __future__ import annotations

from types import MappingProxyType

import msgspec
import pytest

from streamer.connections.local import LocalConnections
from streamer.core.errors import ConnectionGone
from streamer.core.principal import Principal


class Recorder:
    """A `Peer` that records calls. Unlike a real one it never closes and never drops a message."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.calls: list[tuple] = []

    def send(self, data, /):
        self.calls.append(("send", data))

    def send_latest(self, name, data, final=False, /):
        self.calls.append(("send_latest", name, data, final))


class Point(msgspec.Struct):
    x: int


@pytest.fixture
def connections():
    return LocalConnections()


@pytest.fixture
def peer(connections):
    peer = Recorder("conn_1")
    connections.add(peer)
    return peer


async def test_a_connection_is_active_from_its_beginning_to_its_end(connections, peer):
    assert await connections.is_active("conn_1")
    assert len(connections) == 1
    connections.remove(peer)
    assert not await connections.is_active("conn_1")
    assert len(connections) == 0


async def test_a_connection_that_ends_twice_is_ended(connections, peer):
    connections.remove(peer)
    connections.remove(peer)
    assert len(connections) == 0


@pytest.mark.parametrize(
    ("message", "sent"),
    [(b'{"raw":1}', b'{"raw":1}'), ({"a": "ü"}, '{"a":"ü"}'.encode()), (Point(3), b'{"x":3}')],
    ids=["encoded already", "mapping", "struct"],
)
async def test_messages_are_sent_as_json(connections, peer, message, sent):
    await connections.send("conn_1", message)
    assert peer.calls == [("send", sent)]


async def test_a_message_that_replaces_others_says_so_to_the_connection(connections, peer):
    await connections.send("conn_1", b"1", replaces="req_1")
    await connections.send("conn_1", b"2", replaces="req_1", final=True)
    assert peer.calls == [("send_latest", "req_1", b"1", False), ("send_latest", "req_1", b"2", True)]


async def test_messages_are_handed_over_in_the_order_of_the_calls(connections, peer):
    for number in range(50):
        await connections.send("conn_1", b"%d" % number)
    assert [call[1] for call in peer.calls] == [b"%d" % number for number in range(50)]


async def test_sending_to_a_connection_that_is_not_open_names_it(connections):
    with pytest.raises(ConnectionGone, match="conn_9"):
        await connections.send("conn_9", b"{}")


async def test_broadcast_reaches_everyone_and_returns_those_who_are_gone(connections, peer):
    other = Recorder("conn_2")
    connections.add(other)
    assert await connections.broadcast(["conn_1", "conn_8", "conn_2", "conn_9"], {"a": 1}) == ["conn_8", "conn_9"]
    assert peer.calls == other.calls == [("send", b'{"a":1}')]


async def test_broadcast_takes_what_is_encoded_already(connections, peer):
    assert await connections.broadcast(["conn_1"], b"{}") == []
    assert peer.calls == [("send", b"{}")]


async def test_any_mapping_may_be_sent_and_what_is_no_json_is_refused_by_name(connections, peer):
    await connections.send(peer.id, MappingProxyType({"a": MappingProxyType({"b": 1})}))
    assert peer.calls == [("send", b'{"a":{"b":1}}')]
    with pytest.raises(TypeError, match="object"):
        await connections.send(peer.id, {"a": object()})


async def test_a_connection_is_found_by_its_id(connections, peer):
    assert connections.get(peer.id) is peer
    assert connections.get("conn_other") is None


async def test_connections_are_found_by_the_user_and_the_tenant_that_they_speak_for(connections):
    people = {
        "conn_1": Principal(user_id="ada", tenant_id="acme"),
        "conn_2": Principal(user_id="ada", tenant_id="globex"),
        "conn_3": Principal(user_id="ada", tenant_id="acme"),
        "conn_4": Principal(user_id="ada"),
        "conn_5": None,
    }
    for name, principal in people.items():
        peer = Recorder(name)
        peer.principal = principal
        connections.add(peer)

    async def ask():
        return (
            await connections.by_user("ada", "acme"),
            await connections.by_user("ada"),
            await connections.by_user("bob", "acme"),
            await connections.by_tenant("acme"),
            await connections.by_tenant("initech"),
        )

    assert await ask() == (["conn_1", "conn_3"], ["conn_4"], [], ["conn_1", "conn_3"], [])
