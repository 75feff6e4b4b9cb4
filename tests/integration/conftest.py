"""A real TCP relay for whatever speaks with a service."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

TEXT = 1


class Passed:
    """What one connection has passed on, in both directions."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.received = bytearray()

    def requests(self) -> list[dict[str, Any]]:
        """What the client said."""
        return [json.loads(text) for text in texts(bytes(self.sent))]

    def messages(self) -> list[dict[str, Any]]:
        """What the service said; what was cut off is left out."""
        return [json.loads(text) for text in texts(bytes(self.received))]


class Relay:
    """A TCP port before a service, whose connections can be cut at will. It changes nothing and notes what passes."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()
        self._left: int | None = None
        self.passed: list[Passed] = []
        """One for each connection that reached the service, oldest first."""
        self.opened = asyncio.Semaphore(0)
        self.url = ""

    @property
    def open(self) -> bool:
        """Whether any connection is."""
        return bool(self._writers)

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}{self._target.path}"
        return server

    def cut(self) -> None:
        """Ends all connections at once, without a goodbye."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_after(self, count: int) -> None:
        """Ends all connections once the service has said so many bytes more, be it in the middle of a message."""
        self._left = count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, inner_writer}
        passed = Passed()
        self.passed.append(passed)
        self.opened.release()
        await asyncio.gather(
            self._pass(reader, inner_writer, passed.sent),
            self._pass(inner_reader, writer, passed.received, answers=True),
        )
        self._writers -= {writer, inner_writer}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: bytearray, *, answers: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                last = answers and self._left is not None and len(data) >= self._left
                if answers and self._left is not None:
                    data, self._left = data[: self._left], None if last else self._left - len(data)
                passed += data
                writer.write(data)
                await writer.drain()
                if last:
                    self.cut()
        writer.close()


def texts(stream: bytes) -> Iterator[bytes]:
    """The whole text messages after a handshake (RFC 6455, section 5.2), masked or not."""
    _, _, stream = stream.partition(b"\r\n\r\n")
    at = 0
    while at + 2 <= len(stream):
        kind, masked, length, at = stream[at] & 15, stream[at + 1] >> 7, stream[at + 1] & 127, at + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            if at + wide > len(stream):
                return
            length, at = int.from_bytes(stream[at : at + wide]), at + wide
        mask, at = (stream[at : at + 4], at + 4) if masked else (bytes(4), at)
        body, at = stream[at : at + length], at + length
        if kind == TEXT and len(body) == length:
            yield bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))


@pytest.fixture
def relay_to() -> Callable[[str], contextlib.AbstractAsyncContextManager[Relay]]:
    """`async with relay_to(url) as relay` stands a relay before a service."""

    @contextlib.asynccontextmanager
    async def relay(url: str) -> AsyncIterator[Relay]:
        made = Relay(url)
        server = await made.serve()
        yield made
        made.cut()
        server.close()

    return relay
