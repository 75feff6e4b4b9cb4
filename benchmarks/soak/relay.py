"""A TCP relay between clients and service: it reads along, and cuts."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from typing import Any

from benchmarks.soak.wire import Frames, Wire

_CLIENT_ID = re.compile(rb"GET [^ ]*[?&]client_id=([^ &]+)")
_RESET = struct.pack("ii", 1, 0)


class _End(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.transport: Any = None
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pair.passed(self, data)

    def pause_writing(self) -> None:
        # Backpressure goes through: a client that does not read must be felt by the service.
        self.paused = True
        self.pair.other(self).transport.pause_reading()

    def resume_writing(self) -> None:
        self.paused = False
        self.pair.other(self).transport.resume_reading()

    def eof_received(self) -> None:
        self.pair.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.pair.close()


class Pair:
    """A client's connection and its counterpart at the service."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._before: list[bytes] = []
        self._muted = False
        self._closed = False
        self._rate: float | None = None
        self.client = _End(self)
        self.server = _End(self)
        self.tap: Any = None
        self._down = Frames()
        self._up = Frames()

    def other(self, end: _End) -> _End:
        return self.server if end is self.client else self.client

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.server, "127.0.0.1", self._relay.port_of_service)
        except OSError:
            self.close()
            return
        for data in self._before:
            self.passed(self.client, data)
        self._before.clear()
        if self._closed:
            self.server.transport.close()

    def passed(self, end: _End, data: bytes) -> None:
        if self._muted or self._closed:
            return
        if self.server.transport is None:
            self._before.append(data)
            return
        if end is self.client:
            if self.tap is None and (found := _CLIENT_ID.match(data)):
                self.tap = self._relay.wire.connection(found[1].decode())
            for message in self._up.feed(data):
                self.tap.sent(message)
            self.server.transport.write(data)
        else:
            for message in self._down.feed(data):
                if self.tap is not None:
                    self.tap.heard(message)
            self.client.transport.write(data)
            if self._rate is not None:
                # Nothing more is read from the service until a line of that rate would have carried this.
                self.server.transport.pause_reading()
                asyncio.get_running_loop().call_later(len(data) / self._rate, self._read_on)

    def slow_down(self, rate: float) -> None:
        """From now on the client gets so many bytes a second."""
        self._rate = rate

    def _read_on(self) -> None:
        if not self._closed and not self.client.paused:
            self.server.transport.resume_reading()

    def mute(self) -> None:
        """Nothing passes any more; what is sent is lost."""
        self._muted = True

    def cut(self) -> None:
        """Resets both ends: what waits in a buffer is lost."""
        if self._closed:
            return
        for end in (self.client, self.server):
            if end.transport is not None:
                sock = end.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.transport.abort()
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._relay.pairs.pop(self, None)
            for end in (self.client, self.server):
                if end.transport is not None:
                    end.transport.close()


class Relay:
    """Listens for clients for as long as the soak lasts, whether there is a service behind it or not.

    Args:
        port_of_service: where it connects to.
        wire: hears every message.
    """

    def __init__(self, port_of_service: int, wire: Wire) -> None:
        self.port_of_service = port_of_service
        self.wire = wire
        self.pairs: dict[Pair, None] = {}
        """Open connections, oldest first."""
        self.cuts = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._opening: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for pair in list(self.pairs):
            pair.close()

    def chosen(self, size: float) -> Pair | None:
        """One of the open connections."""
        pairs = list(self.pairs)
        return pairs[int(size * len(pairs))] if pairs else None

    def cut(self, pair: Pair) -> None:
        self.cuts += 1
        pair.cut()

    def _accept(self) -> _End:
        pair = Pair(self)
        self.pairs[pair] = None
        task = asyncio.get_running_loop().create_task(pair.open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return pair.client
