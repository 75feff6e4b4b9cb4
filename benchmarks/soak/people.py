"""The clients that behave: the project's own, with its reconnecting. Each checks what it gets."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from benchmarks.soak.wire import Wire
from streamer.client import (
    Cancelled,
    Conflict,
    ConnectionFailed,
    NotAnswered,
    Overloaded,
    RateLimited,
    RequestFailed,
    RequestHandle,
    StreamerClient,
)

ACTIONS = {
    "echo": 20,
    "queued": 20,
    "nap": 15,
    "flaky": 12,
    "thread": 8,
    "crunch": 3,
    "urgent": 7,
    "long": 8,
    "broken": 4,
    "fragile": 3,
    "big": 3,
}
"""With their weights."""
FIRST_TRY_AGAIN = 0.2
MAX_RECONNECT_DELAY = 3.0


class Person:
    """One client, with a few requests under way at a time.

    Args:
        number: of this client.
        url: of the relay.
        wire: learns its marker, and is told what went wrong.
        seed: of the whole soak.
        ended: counts how its requests ended.
    """

    def __init__(self, number: int, url: str, wire: Wire, seed: int, ended: Counter[str]) -> None:
        self._generator = random.Random(f"{seed} person {number}")
        self.client_id = f"person-{number}-{self._generator.getrandbits(64):x}"
        self._marker = f"{self._generator.getrandbits(96):x}"
        wire.markers[self.client_id] = self._marker
        self._wire = wire
        self._ended = ended
        self._number = number
        self._made = 0
        self.waiting: dict[str, str] = {}
        """Requests that have not ended yet: their action by id."""
        self.outcomes: dict[str, str] = {}
        """How each queued request ended, by id."""
        self.client = StreamerClient(
            url,
            self.client_id,
            max_reconnect_delay=MAX_RECONNECT_DELAY,
            on_reconnect=lambda: wire.counts.update(["reconnects"]),
            ping_interval=5.0,
        )

    async def live(self, until: asyncio.Event, at_once: int, pause: float) -> None:
        """Asks for one thing after another, several times at once, until told to stop; then waits for the rest."""
        while True:
            try:
                await self.client.connect()
            except ConnectionFailed:
                await asyncio.sleep(FIRST_TRY_AGAIN)
            else:
                break
        async with asyncio.TaskGroup() as group:
            for lane in range(at_once):
                group.create_task(self._lane(random.Random(self._generator.getrandbits(64)), lane, until, pause))
        await self.client.close()

    async def _lane(self, generator: random.Random, lane: int, until: asyncio.Event, pause: float) -> None:
        while not until.is_set():
            try:
                await asyncio.wait_for(until.wait(), generator.expovariate(1 / pause))
            except TimeoutError:
                (action,) = generator.choices(list(ACTIONS), list(ACTIONS.values()))
                self._made += 1
                await self._ask(action, f"{self._number}-{lane}-{self._made}", generator)

    async def _ask(self, action: str, request_id: str, generator: random.Random) -> None:
        payload = {"marker": self._marker, "id": request_id}
        self.waiting[request_id] = action
        while True:
            try:
                how = await self._once(action, request_id, payload, generator)
            except (Overloaded, RateLimited) as refusal:
                self._wire.counts["refused for now"] += 1
                await asyncio.sleep(refusal.retry_after or FIRST_TRY_AGAIN)
            except NotAnswered:
                # The client gives up what so many connections in a row end on. Its user may know better: the id is the
                # same, so a queued request does not run twice.
                self._wire.counts["given up, and asked for again"] += 1
            except RequestFailed as error:
                how = self._failed(action, request_id, error)
                break
            else:
                break
        del self.waiting[request_id]
        if action != "echo":
            self.outcomes[request_id] = how
            self._wire.received.add((self.client_id, request_id))
        self._ended[f"{action} {how}"] += 1

    async def _once(self, action: str, request_id: str, payload: Any, generator: random.Random) -> str:
        handle = await self.client.submit(action, payload, id=request_id)
        if action == "long":
            await handle.acknowledged()
            await asyncio.sleep(generator.uniform(0, 1.5))
            await self._cancel(handle)
        result = await handle.result()
        if action in ("nap", "long", "fragile"):
            right = True
        else:
            right = isinstance(result, dict) and result.get("echo") == payload
        if not right:
            self._wire.wrong(f"the result is not its own: {result!r}", self.client_id, request_id)
        if action in ("long", "broken"):
            self._wire.wrong(f"{action} ended with a result", self.client_id, request_id)
        return "COMPLETED"

    async def _cancel(self, handle: RequestHandle) -> None:
        while not handle.done:
            try:
                await handle.cancel().result()
            except (Overloaded, RateLimited) as refusal:
                await asyncio.sleep(refusal.retry_after or FIRST_TRY_AGAIN)
            except NotAnswered:
                continue
            except (Conflict, Cancelled):
                return
            else:
                return

    def _failed(self, action: str, request_id: str, error: RequestFailed) -> str:
        if action == "long" and isinstance(error, Cancelled):
            return "CANCELLED"
        expected = {"broken": ("BROKEN", "INTERNAL_ERROR"), "fragile": ("TIMEOUT", "INTERNAL_ERROR")}.get(action, ())
        if error.code not in expected:
            self._wire.wrong(f"{action} ended with {error!r}", self.client_id, request_id)
        return "FAILED"
