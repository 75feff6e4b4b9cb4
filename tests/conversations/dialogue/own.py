"""The clients of this project. They know what a request is, and what is to be done when a connection breaks."""

from __future__ import annotations

import asyncio
from typing import Any

from dialogue.bridge import Bridge
from dialogue.client import GUARD, Client
from dialogue.relay import Message
from streamer.client import ConnectionFailed, ConnectionLost, RequestFailed, RequestHandle, StreamerClient


def story(messages: list[Message]) -> dict[str, Any]:
    """What messages say about one request: the progress in order, and how it ended."""
    last = messages[-1]
    progress = [
        [message["percentage"], message["message"], message.get("metadata")]
        for message in messages
        if message["type"] == "progress"
    ]
    if last["type"] == "error" or not last["success"]:
        error = last["error"]
        ending = [error["code"], error["message"], error["retryable"], error.get("details", {})]
        return {"progress": progress, "error": ending}
    return {"progress": progress, "result": last["data" if last["type"] == "response" else "result"]}


class PythonClient(Client):
    """`streamer.client`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._client = StreamerClient(self.url, token=self.token)
        self._following: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def dial(self) -> bool:
        try:
            await self._client.connect()
        except ConnectionFailed as refused:
            if refused.status == self.connection.status:
                return False
            raise
        return True

    async def ask(self, action: str, payload: Any = None, *, id: str, **fields: Any) -> None:
        self._follow(await self._client.submit(action, payload, id=id, **fields))

    async def resume(self, request_id: str) -> None:
        self._follow(await self._client.resume(request_id))

    async def cancel(self, request_id: str) -> None:
        assert await self._client.cancel(request_id) == {"request_id": request_id, "status": "CANCELLED"}

    async def authenticate(self, token: str) -> Any:
        try:
            return await self._client.authenticate(token)
        except RequestFailed as refused:
            return {"code": refused.code, "message": refused.message, "retryable": refused.retryable}

    async def survive(self, request_id: str) -> None:
        # It does by itself.
        await self.until(self.resumed)

    async def confirm(self, request_id: str, heard: list[Message]) -> None:
        assert await self._ended(request_id) == story(heard)

    async def closed(self) -> int:
        endings = [await self._ended(request_id) for request_id in self._following]
        return next(ending["lost"] for ending in endings if "lost" in ending)

    async def close(self) -> None:
        await self._client.close()
        await asyncio.gather(*self._following.values())

    def _follow(self, handle: RequestHandle) -> None:
        self._following[handle.id] = asyncio.create_task(_followed(handle))

    async def _ended(self, request_id: str) -> dict[str, Any]:
        async with asyncio.timeout(GUARD):
            return await asyncio.shield(self._following[request_id])


async def _followed(handle: RequestHandle) -> dict[str, Any]:
    progress = [[update.percentage, update.message, update.metadata] async for update in handle]
    try:
        return {"progress": progress, "result": await handle.result()}
    except RequestFailed as failed:
        return {"progress": progress, "error": [failed.code, failed.message, failed.retryable, failed.details]}
    except ConnectionLost as lost:
        return {"progress": progress, "lost": lost.code}


class JavaScriptClient(Client):
    """`streamer.js`."""

    def __init__(self, *arguments: Any, bridge: Bridge, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._far = bridge.make("streamer", self._hear)
        self._ended: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def dial(self) -> bool:
        opened: bool = await self._far.do("open", url=self.url, token=self.token)
        return opened

    async def ask(self, action: str, payload: Any = None, *, id: str, **fields: Any) -> None:
        self._ended[id] = asyncio.get_running_loop().create_future()
        given = {name: value for name, value in fields.items() if value is not None}
        await self._far.do("ask", action=action, payload=payload, options={"id": id, **given})

    async def resume(self, request_id: str) -> None:
        self._ended[request_id] = asyncio.get_running_loop().create_future()
        await self._far.do("resume", requestId=request_id)

    async def cancel(self, request_id: str) -> None:
        answer = await self._far.do("cancel", requestId=request_id)
        assert answer == {"request_id": request_id, "status": "CANCELLED"}

    async def authenticate(self, token: str) -> Any:
        return await self._far.do("authenticate", token=token)

    async def survive(self, request_id: str) -> None:
        # It does by itself.
        await self.until(self.resumed)

    async def confirm(self, request_id: str, heard: list[Message]) -> None:
        async with asyncio.timeout(GUARD):
            assert await self._ended[request_id] == story(heard)

    async def closed(self) -> int:
        async with asyncio.timeout(GUARD):
            endings = [await ending for ending in self._ended.values()]
        return next(ending["lost"] for ending in endings if "lost" in ending)

    async def close(self) -> None:
        await self._far.do("close")

    def _hear(self, event: dict[str, Any]) -> None:
        ended = self._ended[event["id"]]
        if not ended.done():
            ended.set_result(event["story"])
