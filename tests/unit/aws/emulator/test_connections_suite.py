"""The suite of connections, over the emulated API Gateway with real clients."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.clock import SystemClock
from streamer.core.parts import MARK, Joiner
from streamer.testing import ConnectionsConformance, RecordingLogger
from streamer_aws.connections.manager import ApiGatewayConnections
from streamer_aws.dynamodb.clients import connect


class Rows:
    """`ConnectionRows` that delete nothing, because nothing was stored."""

    async def remove(self, _connection_id, /):
        pass


class Connection:
    """An `OpenConnection`: a client of `websockets`, which joins the parts of a large message."""

    def __init__(self, id, socket, handlers):
        self.id = id
        self._socket = socket
        self._handlers = handlers
        self._received = []
        self._joiner = Joiner()

    async def received(self, count):
        async with asyncio.timeout(90):
            while len(self._received) < count:
                data = await self._socket.recv(decode=False)
                whole = self._joiner.add(data) if data.startswith(MARK) else data.decode()
                if whole is not None:
                    self._received.append(whole.encode())
        return self._received

    async def close(self):
        ended = len(self._handlers.events["disconnect"])
        await self._socket.close()
        await self._handlers.until("disconnect", ended + 1)


class TestApiGateway(ConnectionsConformance):
    @pytest.fixture
    async def gateway(self, serve, aws_credentials):
        return await serve()

    @pytest.fixture
    async def connections(self, gateway):
        made = ApiGatewayConnections(
            lambda endpoint: connect("eu-central-1", endpoint, "apigatewaymanagementapi"),
            f"{gateway.http}/dev",
            rows=Rows(),
            subscriptions=None,
            clock=SystemClock(),
            logger=RecordingLogger(),
        )
        yield made
        await made.aclose()

    @pytest.fixture
    def open_connection(self, gateway, handlers):
        async def opened():
            socket = await gateway.open()
            connection_id = handlers.events["connect"][-1]["requestContext"]["connectionId"]
            return Connection(connection_id, socket, handlers)

        return opened
