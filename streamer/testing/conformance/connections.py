"""The suite of connections.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import ConnectionsConformance

    class TestMyConnections(ConnectionsConformance):
        @pytest.fixture
        def connections(self):
            return MyConnections()

        @pytest.fixture
        def open_connection(self, connections):
            async def opened():
                ...  # an object with the attributes of `OpenConnection`

            return opened

Where connections are held by another process than the one that sends, `connections` is the sender's, and
`open_connection` opens one there; `id` is what the sender calls it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import pytest

from streamer.contracts.connections import ConnectionManager
from streamer.core.coroutines import DONE
from streamer.core.errors import ConnectionGone
from streamer.core.messages import Acknowledgment


class OpenConnection(Protocol):
    """A connection of a test, and what its client received."""

    id: str

    async def received(self, count: int) -> list[bytes]:
        """Waits until so many messages have arrived. Returns all of them, as JSON text, in their order."""
        ...

    async def close(self) -> None:
        """The client has ended the connection, and that is known where it is held."""
        ...


Opened = Callable[[], Awaitable[OpenConnection]]


class ConnectionsConformance:
    """The promises of `ConnectionManager`, one test each. Subclass it and add the two fixtures."""

    notices_ends = True
    """Sending to a connection that has ended raises ConnectionGone. False where only another process knows it."""

    async def test_messages_arrive_in_the_order_of_the_calls(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection = await open_connection()
        for number in range(10):
            await connections.send(connection.id, b"%d" % number)
        assert await connection.received(10) == [b"%d" % number for number in range(10)]

    async def test_progress_and_the_outcome_of_a_request_arrive_in_order(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection = await open_connection()
        await connections.send(connection.id, b'"acknowledged"')
        await connections.send(connection.id, b'"half"', replaces="r1")
        await connections.send(connection.id, b'"other"', replaces="r2")
        await connections.send(connection.id, b'"end"', replaces="r1", final=True)
        received = await connection.received(4)
        # Where the client is not slow, nothing is dropped.
        assert received == [b'"acknowledged"', b'"half"', b'"other"', b'"end"']

    async def test_a_message_reaches_only_its_connection(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        one, two = await open_connection(), await open_connection()
        assert one.id != two.id
        await connections.send(one.id, b"1")
        await connections.send(two.id, b"2")
        assert await one.received(1) == [b"1"]
        assert await two.received(1) == [b"2"]

    @pytest.mark.parametrize(
        "message",
        [b'{"a":"\xc3\xa4"}', {"a": "ä"}, Acknowledgment("r1")],
        ids=["encoded", "mapping", "struct"],
    )
    async def test_a_message_is_encoded_as_json_text(
        self, connections: ConnectionManager, open_connection: Opened, message: Any
    ) -> None:
        connection = await open_connection()
        await connections.send(connection.id, message)
        (received,) = await connection.received(1)
        plain = msgspec.json.decode(message) if isinstance(message, bytes) else msgspec.to_builtins(message)
        assert msgspec.json.decode(received) == plain

    async def test_an_object_that_is_not_a_message_raises_a_type_error(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection = await open_connection()
        with pytest.raises(TypeError):
            await connections.send(connection.id, {"a": object()})

    async def test_a_large_message_arrives_whole_and_in_order(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection = await open_connection()
        large = msgspec.json.encode({"request_id": "r1", "text": "ä" * 100_000})
        for message in (b"1", large, b"2"):
            await connections.send(connection.id, message)
        # Compared by its value: parts that are joined may be written otherwise.
        one, joined, two = await connection.received(3)
        assert (one, msgspec.json.decode(joined), two) == (b"1", msgspec.json.decode(large), b"2")

    async def test_sending_to_an_ended_connection_returns_gone(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection, other = await open_connection(), await open_connection()
        await connections.send(connection.id, b"1")
        await connection.received(1)
        await connection.close()
        if self.notices_ends:
            with pytest.raises(ConnectionGone):
                await connections.send(connection.id, b"2")
            assert not await connections.is_active(connection.id)
        else:
            await connections.send(connection.id, b"2")
        await connections.send(other.id, b"3")
        assert await other.received(1) == [b"3"]

    async def test_an_open_connection_is_active_and_accepts_messages(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        connection = await open_connection()
        assert await connections.is_active(connection.id)
        assert connections.room(connection.id) is None

    async def test_a_broadcast_reaches_all_and_returns_the_ended_connections(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        one, two, gone = [await open_connection() for _ in range(3)]
        await gone.close()
        missed = await connections.broadcast([one.id, gone.id, two.id], {"n": 1})
        assert missed == ([gone.id] if self.notices_ends else [])
        assert await one.received(1) == await two.received(1) == [b'{"n":1}']

    async def test_many_senders_can_send_at_the_same_time(
        self, connections: ConnectionManager, open_connection: Opened
    ) -> None:
        opened = [await open_connection() for _ in range(3)]
        sending = [connections.send(connection.id, b"%d" % number) for number in range(20) for connection in opened]
        await asyncio.gather(*(one for one in sending if one is not DONE))
        for connection in opened:
            assert await connection.received(20) == [b"%d" % number for number in range(20)]
