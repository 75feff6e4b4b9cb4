"""The suite of a bus between processes.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import BusConformance

    class TestMyBus(BusConformance):
        @pytest.fixture
        async def open_bus(self, server):
            async with AsyncExitStack() as stack:
                yield lambda: stack.enter_async_context(MyBus.connect(server))

Each call of `open_bus` gives, awaited, the bus as one more process has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from streamer.contracts.bus import Bus

WAIT: Final = 10.0
"""Seconds after which a message counts as lost."""

Open = Callable[[], Awaitable[Bus]]


class Listener:
    """Collects what is received at one address."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self._changed = asyncio.Event()

    def receive(self, message: bytes) -> None:
        """A `Receive`."""
        self.received.append(message)
        self._changed.set()

    async def until(self, count: int) -> list[bytes]:
        """Waits for so many messages. Returns all that were received."""
        async with asyncio.timeout(WAIT):
            while len(self.received) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.received


@asynccontextmanager
async def listening(bus: Bus, address: str) -> AsyncIterator[Listener]:
    """A listener at this address."""
    listener = Listener()
    async with bus.listen(address, listener.receive):
        yield listener


class BusConformance:
    """The promises of `Bus`, one test each. Subclass it and add an `open_bus` fixture.

    What a bus may lose is not tested: here nothing breaks, and then nothing may be lost.
    """

    largest = 1 << 20
    """Bytes of a message that must arrive unchanged."""

    @pytest.fixture
    async def bus(self, open_bus: Open) -> Bus:
        """The one that listens."""
        return await open_bus()

    @pytest.fixture
    async def elsewhere(self, open_bus: Open) -> Bus:
        """That of another process, which publishes."""
        return await open_bus()

    async def test_a_message_arrives_once_at_its_listener(self, bus: Bus, elsewhere: Bus) -> None:
        async with listening(bus, "gateway-1") as one, listening(elsewhere, "gateway-2") as two:
            await elsewhere.publish("gateway-1", b"for one")
            await bus.publish("gateway-2", b"for two")
            await bus.publish("gateway-1", b"by itself")
            await elsewhere.publish("gateway-1", b"last")
            assert sorted(await one.until(3)) == [b"by itself", b"for one", b"last"]
            assert await two.until(1) == [b"for two"]

    async def test_messages_of_one_process_arrive_in_the_order_of_the_calls(self, bus: Bus, elsewhere: Bus) -> None:
        sent = [b"%d" % number for number in range(200)]
        async with listening(bus, "gateway-1") as listener:
            for message in sent[:100]:
                await elsewhere.publish("gateway-1", message)
            await asyncio.gather(*(elsewhere.publish("gateway-1", message) for message in sent[100:]))
            assert await listener.until(200) == sent

    async def test_a_message_may_be_any_bytes_of_any_size(self, bus: Bus, elsewhere: Bus) -> None:
        sent = [b"", bytes(range(256)), b"\x00" * 10_000, bytes(self.largest), b"after it"]
        async with listening(bus, "gateway-1") as listener:
            for message in sent:
                await elsewhere.publish("gateway-1", message)
            assert await listener.until(len(sent)) == sent

    async def test_similar_addresses_are_kept_apart(self, bus: Bus, elsewhere: Bus) -> None:
        name = "machine.example:4711:" + "x" * 40
        async with listening(bus, name) as one, listening(bus, name + "y") as two:
            await elsewhere.publish(name + "y", b"two")
            await elsewhere.publish(name.upper(), b"nobody")
            await elsewhere.publish(name, b"one")
            assert await one.until(1) == [b"one"]
            assert await two.until(1) == [b"two"]

    async def test_a_message_without_a_listener_is_dropped_without_an_error(self, bus: Bus, elsewhere: Bus) -> None:
        await elsewhere.publish("gateway-1", b"early")
        async with listening(bus, "gateway-1") as listener:
            await elsewhere.publish("gateway-1", b"in time")
            assert await listener.until(1) == [b"in time"]
        await elsewhere.publish("gateway-1", b"late")
        async with listening(bus, "gateway-1") as again:
            await elsewhere.publish("gateway-1", b"once more")
            assert await again.until(1) == [b"once more"]
        assert listener.received == [b"in time"]
