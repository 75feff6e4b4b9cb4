"""A WebSocket by hand, for clients that do what no library would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import Any

from benchmarks.soak.wire import TERMINAL, Frames, Wire

TEXT, BINARY, PONG = 0x81, 0x82, 0x8A


class Gone(Exception):
    """The connection has ended."""


class RawSocket:
    """One connection; every failure of it is `Gone`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client_id: str, wire: Wire) -> None:
        self._reader = reader
        self._writer = writer
        self._client_id = client_id
        self._wire = wire
        self._frames = Frames(self._pong)
        self._heard: list[dict[str, Any]] = []

    @classmethod
    async def open(cls, port: int, client_id: str, wire: Wire) -> RawSocket:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET /ws?client_id={client_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: c29ha2luZy1zb2FraW5nIQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            socket = cls(reader, writer, client_id, wire)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as problem:
            raise Gone from problem
        if b" 101 " not in head:
            writer.close()
            raise Gone
        list(socket._frames.feed(head))
        return socket

    def write(self, body: bytes, opcode: int = TEXT, *, cut_at: int | None = None) -> None:
        mask = os.urandom(4)
        length = len(body)
        head = bytes([opcode])
        head += bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + length.to_bytes(2)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
        try:
            self._writer.write((head + mask + masked)[:cut_at])
        except RuntimeError as problem:
            # uvloop's word for a socket that has been closed.
            raise Gone from problem

    def send(self, **message: Any) -> None:
        self.write(json.dumps(message).encode())

    async def hear(self, seconds: float = 10.0, size: int = 65536, pause: float = 0.0) -> dict[str, Any]:
        """The next message.

        Args:
            seconds: without a byte, after which the connection counts as gone.
            size: bytes to read at once.
            pause: seconds before each reading: how slow the client is.

        Raises:
            Gone: the connection has ended, or nothing came for so long.
        """
        while not self._heard:
            if pause:
                await asyncio.sleep(pause)
            try:
                data = await asyncio.wait_for(self._reader.read(size), seconds)
            except (OSError, TimeoutError) as problem:
                raise Gone from problem
            if not data:
                raise Gone
            for text in self._frames.feed(data):
                self._heard.append(self._read(text))
        return self._heard.pop(0)

    def _read(self, text: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(text)
        if "seq" in message and message["type"] in TERMINAL:
            self._wire.received.add((self._client_id, message["request_id"]))
        return message

    def _pong(self, body: bytes) -> None:
        # As every WebSocket does, as soon as it has read the ping.
        with contextlib.suppress(Gone):
            self.write(body, PONG)

    def abort(self) -> None:
        self._writer.transport.abort()
