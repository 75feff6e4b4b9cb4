"""Wakes processors: sends a message to a queue for each request to run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import orjson

from streamer.contracts.stores import Key, Waiting

MAX_DELAY: Final = 900
"""Maximum delay of a message in a queue, in seconds. The sweep finds requests that are due later."""
BATCH: Final = 10
"""Maximum messages of one call."""


class Waker:
    """Sends wake-ups. If one fails, the sweep finds its request.

    Args:
        url: of the queue; empty where a stream wakes the processors.
        region: of the queue; None: from the environment.
        logger: for errors.
    """

    def __init__(self, url: str, *, region: str | None, logger: Any) -> None:
        self.url = url
        self._region = region
        self._logger = logger
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def wake(self, key: Key, action: str, after: float = 0.0) -> None:
        """A processor claims the request after this many seconds."""
        if self.url and after <= MAX_DELAY:
            await self._send([_entry(0, {"owner": key[0], "id": key[1], "action": action}, after)])

    async def wake_all(self, waiting: Sequence[Waiting]) -> int:
        """Processors claim the requests. Returns how many wake-ups were sent."""
        bodies = [{"owner": key[0], "id": key[1], "action": action} for key, action in waiting]
        batches = [bodies[start : start + BATCH] for start in range(0, len(bodies), BATCH)]
        sent = await asyncio.gather(
            *(self._send([_entry(n, body, 0.0) for n, body in enumerate(batch)]) for batch in batches)
        )
        return sum(sent)

    async def look_at_left(self, key: Key, after: float) -> None:
        """After this many seconds, the processor checks whether the request has subscribers."""
        if self.url and after <= MAX_DELAY:
            await self._send([_entry(0, {"owner": key[0], "id": key[1], "left": True}, after)])

    async def backlog(self) -> int:
        """The approximate number of waiting wake-ups; infinite when it is unknown."""
        try:
            client = await self._connected()
            answer = await client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
            )
            return int(answer["Attributes"]["ApproximateNumberOfMessages"])
        except Exception as problem:  # noqa: BLE001 - the library's errors have no common base, and none may end a sweep
            self._logger.warning("the queue of wake-ups does not respond", url=self.url, error=str(problem))
            return 1 << 30

    async def close(self) -> None:
        """Closes the client."""
        self._client = None
        await self._stack.aclose()

    async def _send(self, entries: list[dict[str, Any]]) -> int:
        try:
            client = await self._connected()
            answer = await client.send_message_batch(QueueUrl=self.url, Entries=entries)
        except Exception as problem:  # noqa: BLE001 - as above; the request is stored, and runs without it too
            self._logger.warning("wake-ups were not sent", url=self.url, count=len(entries), error=str(problem))
            return 0
        refused = answer.get("Failed", [])
        if refused:
            self._logger.warning("wake-ups were refused", url=self.url, count=len(refused), error=refused[0]["Message"])
        return len(entries) - len(refused)

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                from streamer_aws.dynamodb.clients import connect  # noqa: PLC0415 - as late as it is needed

                self._client = await self._stack.enter_async_context(connect(self._region, None, "sqs"))
        return self._client


def _entry(number: int, body: dict[str, Any], after: float) -> dict[str, Any]:
    return {
        "Id": str(number),
        "MessageBody": orjson.dumps(body).decode(),
        "DelaySeconds": max(math.ceil(after), 0),
    }
