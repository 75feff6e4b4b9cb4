"""A TCP relay between one client and a service: it can be cut, and hears what the service says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

Message = dict[str, Any]


class Joiner:
    """Puts messages together again that came in parts."""

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {}
        self.taken = 0
        """Parts so far."""

    def take(self, text: str) -> Message | None:
        """The message that is whole with this text; None while parts of it are missing."""
        message: Message = json.loads(text)
        if message.get("type") != "part":
            return message
        self.taken += 1
        parts = self._parts.setdefault(message["part_of"], [])
        assert message["index"] == len(parts), "the parts of a message come in order"
        parts.append(message["data"])
        if len(parts) < message["count"]:
            return None
        whole: Message = json.loads("".join(self._parts.pop(message["part_of"])))
        assert whole["request_id"] == message["request_id"]
        return whole


class Connection:
    """What the service has said on one connection.

    Args:
        target: where it goes: a host and a port.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.status: int | None = None
        """How the service answered the handshake."""
        self.messages: list[Message] = []
        self.close_code: int | None = None
        self._head = b""
        self._frames = Protocol(CLIENT, max_size=None)
        self._text = b""
        self._joiner = Joiner()

    @property
    def parts(self) -> int:
        """How many messages were only parts of others."""
        return self._joiner.taken

    def take(self, data: bytes) -> None:
        """The next bytes of the service."""
        if self.status is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self.status = int(head.split()[1])
        if self.status != 101:
            return
        self._frames.receive_data(data)
        self._frames.data_to_send()
        for frame in self._frames.events_received():
            if frame.opcode is Opcode.CLOSE:
                self.close_code = int.from_bytes(frame.data[:2])
            elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
                self._text += frame.data
                if frame.fin:
                    message = self._joiner.take(self._text.decode())
                    self._text = b""
                    if message is not None:
                        self.messages.append(message)


class Relay:
    """One port for one client; all its connections, oldest first.

    Args:
        targets: the service's addresses. The first connection goes to the first of them, each new one to the next.
    """

    def __init__(self, *targets: str) -> None:
        self.connections: list[Connection] = []
        self.url = ""
        self._targets = [urlsplit(target) for target in targets]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[Any]] = set()
        self._heard = asyncio.Event()
        self._broken = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._targets[0]._replace(scheme="ws", netloc=f"127.0.0.1:{port}").geturl()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._passing)

    def cut(self) -> None:
        """Ends all connections at once, without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()

    def break_down(self) -> None:
        """Ends all connections, and each that is tried from now on."""
        self._broken = True
        self.cut()

    def restore(self) -> None:
        """Connections can be had again."""
        self._broken = False

    async def news(self) -> None:
        """Returns when the service has said more, or a connection has begun or ended."""
        await self._heard.wait()

    def _tell(self) -> None:
        self._heard.set()
        self._heard = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._broken:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        target = self._targets[len(self.connections) % len(self._targets)]
        connection = Connection(target.netloc)
        self.connections.append(connection)
        secure = target.scheme == "wss"
        far_reader, far_writer = await asyncio.open_connection(
            target.hostname,
            target.port or (443 if secure else 80),
            ssl=ssl.create_default_context() if secure else None,
        )
        self._writers |= {writer, far_writer}
        with contextlib.suppress(asyncio.IncompleteReadError):
            # A gateway tells services apart by the name that they are asked for under.
            head = await reader.readuntil(b"\r\n\r\n")
            host = f"Host: {target.netloc}".encode()
            far_writer.write(re.sub(rb"(?mi)^host:[^\r\n]*", host, head, count=1))
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer, connection))
        self._writers -= {writer, far_writer}
        self._passing.discard(task)
        self._tell()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection | None = None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if connection is not None:
                    connection.take(data)
                    self._tell()
                writer.write(data)
                await writer.drain()
        writer.close()
