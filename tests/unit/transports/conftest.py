from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from streamer.config.settings import ServerSettings
from streamer.connections.local import LocalConnections
from streamer.core.clock import Clock, SystemClock
from streamer.testing import RecordingLogger
from streamer.transports.expiry import TokenDeadlines
from streamer.transports.websocket import WebSocketTransport

GUARD = 90.0
"""Seconds after which a test that waits for something has failed; nothing is expected to take nearly as long."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this folder runs on each kind of loop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Receiver:
    """A `FrameReceiver` that records frames and answers by the function in `answer`."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended: list[Any] = []
        self.taken: list[str] = []
        self.busy = False
        self.answer: Callable[[Any, bytes], None] = lambda peer, frame: None

    def receive(self, peer: Any, frame: bytes, /) -> None:
        self.frames.append(frame)
        self.answer(peer, frame)

    def confirmed(self, peer: Any, names: Any, /) -> None:
        self.taken += names

    def waits(self, peer: Any, /) -> bool:
        return self.busy

    def disconnected(self, peer: Any, /) -> None:
        self.ended.append(peer)


class Registry(LocalConnections):
    """The registry of the program, which also remembers who came and went."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[Any] = []
        self.removed: list[Any] = []

    def add(self, peer: Any, /) -> None:
        super().add(peer)
        self.added.append(peer)

    def remove(self, peer: Any, /) -> None:
        super().remove(peer)
        self.removed.append(peer)


class Raw:
    """A client that writes what it is told, however wrong, and reads frames one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload. It must be a whole message without mask, as all of a server's."""
        async with asyncio.timeout(GUARD):
            first, size = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "a server's frames are final, without reserved bits"
            assert size < 128, "a server's frames have no mask"
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)

    async def text(self) -> bytes:
        """The next message; the pings before it are left unanswered."""
        opcode, payload = await self.frame()
        while opcode == 9:
            opcode, payload = await self.frame()
        assert opcode == 1, (opcode, payload)
        return payload

    async def close_code(self) -> int:
        """Of the close frame, which must be the next; and nothing may follow it."""
        opcode, payload = await self.frame()
        assert opcode == 8, (opcode, payload)
        return int.from_bytes(payload[:2])

    async def ended(self) -> None:
        """Waits until the server has closed its side."""
        async with asyncio.timeout(GUARD):
            with contextlib.suppress(ConnectionResetError):
                assert await self.reader.read() == b""

    def cut(self) -> None:
        self.writer.transport.abort()


def make_frame(
    payload: bytes = b"", opcode: int = 1, *, fin: bool = True, rsv: int = 0, mask: bool = True, size: int | None = None
) -> bytes:
    """A client's frame; `size` announces another length than the payload's."""
    length = len(payload) if size is None else size
    bit = 0x80 if mask else 0
    header = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        header += bytes([bit | length])
    elif length < 65536:
        header += bytes([bit | 126]) + struct.pack("!H", length)
    else:
        header += bytes([bit | 127]) + struct.pack("!Q", length)
    if not mask:
        return header + payload
    key = b"\x11\x22\x33\x44"
    return header + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


class Server:
    """A transport that runs, and what a test wants to know of it."""

    def __init__(self, settings: ServerSettings, clock: Clock, authenticator: Any = None) -> None:
        self.settings = settings
        self.receiver = Receiver()
        self.registry = Registry()
        self.log = RecordingLogger()
        self.deadlines = TokenDeadlines(leeway=0.0 if authenticator is None else authenticator.leeway, clock=clock)
        self.raws: list[Raw] = []
        self.transport = WebSocketTransport(
            settings,
            receiver=self.receiver,
            registry=self.registry,
            clock=clock,
            logger=self.log,
            authenticator=authenticator,
            deadlines=self.deadlines,
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.transport.port}"

    @property
    def peers(self) -> list[Any]:
        return self.registry.added

    async def connect(self, target: str = "/ws", **options: Any) -> ClientConnection:
        return await connect(f"ws://{self.address}{target}", compression=None, proxy=None, **options)

    async def http(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """Sends the bytes; returns status, headers (names in lower case) and body; status 0: the connection was cut."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.transport.port)
        writer.write(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(GUARD):
                answer = await reader.read()
        writer.close()
        if not answer:
            return 0, {}, b""
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return int(first.split()[1]), headers, body

    async def raw(self, target: str = "/ws", *, limit: int = 2**16, receive_buffer: int | None = None) -> Raw:
        """A client after its handshake. `receive_buffer` makes the kernel take little on its behalf."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.transport.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        writer.write(upgrade(target))
        async with asyncio.timeout(GUARD):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        self.raws.append(Raw(reader, writer))
        return self.raws[-1]


def upgrade(target: str = "/ws", **headers: str | None) -> bytes:
    """A request as a browser makes it; an underscore in a name stands for a hyphen, None leaves a header out."""
    values: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in values.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


async def eventually(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until the condition holds."""
    async with asyncio.timeout(GUARD):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Starts a transport with the settings given; all are closed in the end."""
    started: list[Server] = []

    async def start(clock: Clock | None = None, authenticator: Any = None, **settings: Any) -> Server:
        server = Server(ServerSettings(port=0, **settings), clock or SystemClock(), authenticator)
        await server.transport.start()
        started.append(server)
        return server

    yield start
    for server in started:
        for raw in server.raws:
            raw.cut()
        for peer in server.peers:
            peer.cut()
        await server.transport.close()


@pytest.fixture
def frame() -> Callable[..., bytes]:
    return make_frame


@pytest.fixture(name="upgrade")
def upgrade_() -> Callable[..., bytes]:
    return upgrade


@pytest.fixture(name="eventually")
def eventually_() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    return eventually
