"""A transport on a real port, what it hands on, and a client that can say anything, wrong things too."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import pytest
import uvloop

from streamer.config.settings import ServerSettings
from streamer.connections.local import LocalConnections
from streamer.core.clock import SystemClock
from streamer.testing import RecordingLogger
from streamer.transports.websocket import WebSocketTransport


def pytest_asyncio_loop_factories(config, item):
    """Every test of this folder runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Registry(LocalConnections):
    """The real one, noting what it hears."""

    def __init__(self, events: list[tuple[str, str]]) -> None:
        super().__init__()
        self.events = events

    def add(self, peer, /) -> None:
        self.events.append(("add", peer.id))
        super().add(peer)

    def remove(self, peer, /) -> None:
        self.events.append(("remove", peer.id))
        super().remove(peer)


class Receiver:
    """Answers each message with itself, unless a test says otherwise; notes what it hears."""

    def __init__(self, events: list[tuple[str, str]]) -> None:
        self.events = events
        self.messages: list[bytes] = []
        self.peers: list = []
        self.answer: Callable[..., None] = lambda peer, frame: peer.send(frame)
        self.ended: asyncio.Queue = asyncio.Queue()

    def receive(self, peer, frame: bytes, /) -> None:
        assert type(frame) is bytes
        self.events.append(("receive", peer.id))
        self.messages.append(frame)
        if peer not in self.peers:
            self.peers.append(peer)
        self.answer(peer, frame)

    def confirmed(self, peer, names, /) -> None:
        self.events.append(("confirmed", peer.id, *names))

    def waits(self, peer, /) -> bool:
        return peer.running > 0

    def disconnected(self, peer, /) -> None:
        self.events.append(("disconnected", peer.id))
        self.ended.put_nowait(peer)


class Served:
    """A started transport and everything around it."""

    def __init__(self, clock, settings: ServerSettings) -> None:
        self.events: list[tuple[str, str]] = []
        self.log = RecordingLogger()
        self.registry = Registry(self.events)
        self.receiver = Receiver(self.events)
        self.transport = WebSocketTransport(
            settings, receiver=self.receiver, registry=self.registry, clock=clock, logger=self.log
        )

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.transport.port)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.transport.port}/ws"

    @property
    def peers(self) -> set:
        return self.transport._shared.peers

    @property
    def lingering(self) -> set:
        return self.transport._shared.lingering

    async def ended(self):
        """The next connection that the receiver was told the end of."""
        async with asyncio.timeout(90):
            return await self.receiver.ended.get()


@pytest.fixture
async def serve():
    """Starts a transport on a free port; several may be started in one test."""
    started: list[Served] = []

    async def start(*, clock=None, **settings) -> Served:
        served = Served(clock or SystemClock(), ServerSettings(port=0, **settings))
        await served.transport.start()
        started.append(served)
        return served

    yield start
    for served in started:
        for peer in list(served.peers):
            peer.cut()
        await served.transport.close()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame as a client writes it, or as it must not."""
    size = len(payload)
    mask_bit = 0x80 if masked else 0
    head = bytes((0x80 * fin | rsv << 4 | opcode,))
    if size < 126:
        head += bytes((mask_bit | size,))
    elif size < 0x10000:
        head += bytes((mask_bit | 126,)) + size.to_bytes(2)
    else:
        head += bytes((mask_bit | 127,)) + size.to_bytes(8)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class RawClient:
    """A connection whose every byte is the test's own; it answers nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, *frames: bytes) -> None:
        """All of it in one piece."""
        self.writer.write(b"".join(frames))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which must be whole and not masked."""
        async with asyncio.timeout(90):
            head = await self.reader.readexactly(2)
            assert head[0] & 0xF0 == 0x80
            assert head[1] < 0x80
            size = head[1]
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8))
            return head[0] & 0xF, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Reads on to the close frame; its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2])

    async def rest(self) -> bytes:
        """What comes until the server ends the connection; a reset is an end like another."""
        received = b""
        async with asyncio.timeout(90):
            try:
                while piece := await self.reader.read(65536):
                    received += piece
            except ConnectionError:
                pass
        return received


@pytest.fixture
async def raw():
    """Opens raw connections that are already upgraded (`raw.open`), and writes frames for them (`raw.frame`)."""
    writers: list[asyncio.StreamWriter] = []

    class Raw:
        frame = staticmethod(frame)

        @staticmethod
        async def open(served: Served, path: str = "/ws", receive_buffer: int | None = None) -> RawClient:
            sock = socket.socket()
            sock.setblocking(False)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await asyncio.get_running_loop().sock_connect(sock, served.address)
            reader, writer = await asyncio.open_connection(sock=sock)
            writers.append(writer)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            async with asyncio.timeout(90):
                answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 "), answer
            return RawClient(reader, writer)

    yield Raw
    for writer in writers:
        writer.transport.abort()
