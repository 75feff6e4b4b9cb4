"""Clients that only send and receive text: whoever reads the protocol's page can write these."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dialogue.bridge import Bridge
from dialogue.client import GUARD, TERMINAL, Client, normal, numbers
from dialogue.relay import Joiner, Message

FRAME = 32 * 1024
"""Bytes of the longest frame that API Gateway takes."""


def frames(text: str) -> list[str]:
    """A message in pieces that may go out as frames; these texts are ASCII."""
    return [text[start : start + FRAME] for start in range(0, len(text), FRAME)]


class PlainClient(Client):
    """All but the socket."""

    def __init__(
        self,
        *arguments: Any,
        subprotocols: list[str] | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.subprotocols = subprotocols or []
        self.headers = {**(headers or {}), **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        self.received: list[Message] = []
        self._joiner = Joiner()
        self._news = asyncio.Event()
        self._close_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def send(self, text: str | bytes, *, binary: bool = False) -> None:
        """One message. Bytes need not be UTF-8 to go out as text."""
        raise NotImplementedError

    async def ask(self, action: str, payload: Any = None, **fields: Any) -> None:
        given = {name: value for name, value in fields.items() if value is not None}
        await self.send(json.dumps({"action": action, "payload": payload, **given}))

    async def resume(self, request_id: str) -> None:
        await self._resume(request_id)

    async def _resume(self, request_id: str, **more: Any) -> None:
        asked = f"resume-{next(numbers)}"
        await self.ask("streamer.resume", {"request_id": request_id, **more}, id=asked)
        (answer,) = await self.heard(asked)
        expected = {"type": "response", "request_id": asked, "success": True, "data": {"requests": [request_id]}}
        assert answer == expected

    async def cancel(self, request_id: str) -> None:
        answer = await self.call("streamer.cancel", {"request_id": request_id})
        assert answer == {"request_id": request_id, "status": "CANCELLED"}

    async def authenticate(self, token: str) -> Any:
        return await self.call("streamer.authenticate", {"token": token})

    async def survive(self, request_id: str) -> None:
        await self.closed()
        self._close_code = asyncio.get_running_loop().create_future()
        newest = max(message["seq"] for message in self.about(request_id))
        await self.open()
        await self._resume(request_id, after_seq=newest)

    async def confirm(self, request_id: str, heard: list[Message]) -> None:
        async with asyncio.timeout(GUARD):
            while not any(_ends(message, request_id) for message in self.received):
                await self._news.wait()
        mine = [message for message in self.received if message.get("request_id") == request_id]
        assert normal(mine) == normal(heard)

    async def closed(self) -> int:
        async with asyncio.timeout(GUARD):
            return await asyncio.shield(self._close_code)

    def take(self, text: str) -> None:
        """A message that came."""
        message = self._joiner.take(text)
        if message is not None:
            self.received.append(message)
        self._news.set()
        self._news = asyncio.Event()

    def end(self, code: int) -> None:
        """The connection has ended."""
        self._close_code.set_result(code)


class WebsocketsClient(PlainClient):
    """Python's package `websockets`."""

    _socket: ClientConnection
    _reader: asyncio.Task[None] | None = None

    async def dial(self) -> bool:
        try:
            self._socket = await connect(
                self.url,
                additional_headers=self.headers,
                subprotocols=self.subprotocols or None,
                compression=None,
                max_size=None,
                proxy=None,
                open_timeout=GUARD,
            )
        except InvalidStatus:
            return False
        self._reader = asyncio.create_task(self._read())
        return True

    async def send(self, text: str | bytes, *, binary: bool = False) -> None:
        if isinstance(text, str):
            await self._socket.send(frames(text))
        else:
            await self._socket.send(text, text=not binary)

    async def close(self) -> None:
        if self._reader is not None:
            await self._socket.close()
            await self._reader

    async def _read(self) -> None:
        try:
            while True:
                self.take(await self._socket.recv(decode=True))
        except ConnectionClosed as ended:
            self.end(ended.rcvd.code if ended.rcvd else 1006)


class WsClient(PlainClient):
    """Node's package `ws`."""

    def __init__(self, *arguments: Any, bridge: Bridge, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._far = bridge.make("ws", self._hear)

    async def dial(self) -> bool:
        opened: bool = await self._far.do("open", url=self.url, headers=self.headers, subprotocols=self.subprotocols)
        return opened

    async def send(self, text: str | bytes, *, binary: bool = False) -> None:
        if isinstance(text, str):
            await self._far.do("send", frames=frames(text))
        else:
            await self._far.do("sendBytes", bytes=list(text), binary=binary)

    async def close(self) -> None:
        await self._far.do("close")

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "message":
            self.take(event["text"])
        else:
            self.end(event["code"])


def _ends(message: Message, request_id: str) -> bool:
    return message.get("request_id") == request_id and message["type"] in TERMINAL
