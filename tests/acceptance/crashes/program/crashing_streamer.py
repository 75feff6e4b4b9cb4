"""The command `streamer`, with `crash_points.reach` called before and after each durable step of a request.

    CRASH_AT=claimed.after CRASH_STORE=SqliteStore python crashing_streamer.py run --config streamer.yaml

It wraps the classes from outside. A step is `before` when nothing of it has happened, and `after` when its method has
returned: the write is durable, the message is with the operating system.
"""

import asyncio
import importlib
import os
import sys
from typing import Any

from crash_points import reach

from streamer.cli import main
from streamer.connections.local import LocalConnections
from streamer.transports.peer import WebSocketPeer

STEPS = {
    "complete": "recorded",
    "fail": "failed",
    "cancel": "cancelled",
    "requeue": "requeued",
    "mark_delivered": "noted",
    "release": "released",
}
PLACES = {"SqliteStore": "streamer.stores.sqlite", "DynamoStore": "streamer_aws.store.store"}
NAME = os.environ["CRASH_STORE"]
STORE: Any = getattr(importlib.import_module(PLACES[NAME]), NAME)
_unclaimed = 0


def around(method: str, step: str) -> None:
    original = getattr(STORE, method)

    async def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        global _unclaimed  # noqa: PLW0603 - one service in this process
        reach(f"{step}.before")
        answer = await original(self, *arguments, **options)
        reach(f"{step}.after")
        _unclaimed += step == "failed" and options.get("retry_at") is not None
        return answer

    setattr(STORE, method, wrapped)


def around_enqueue() -> None:
    """A store may begin when it is called, and its claims may follow at once: neither comes later than without this."""
    original = STORE.enqueue

    def enqueue(self: Any, *arguments: Any, **options: Any) -> Any:
        global _unclaimed  # noqa: PLW0603 - as above
        reach("stored.before")
        _unclaimed += 1
        storing = original(self, *arguments, **options)
        if isinstance(storing, asyncio.Future):
            storing.add_done_callback(lambda _: reach("stored.after"))
            return storing
        return stored(storing)

    async def stored(storing: Any) -> Any:
        answer = await storing
        reach("stored.after")
        return answer

    STORE.enqueue = enqueue


def around_claim() -> None:
    original = STORE.claim

    async def claim(self: Any, *arguments: Any, **options: Any) -> Any:
        global _unclaimed  # noqa: PLW0603 - as above
        if _unclaimed:
            reach("claimed.before")
        claims = await original(self, *arguments, **options)
        for _ in claims.records:
            _unclaimed -= 1
            reach("claimed.after")
        return claims

    STORE.claim = claim


def around_sending() -> None:
    send, deliver = WebSocketPeer.send, LocalConnections.send

    def acknowledge(self: WebSocketPeer, data: bytes, /) -> None:
        first_word = data.startswith(b'{"type":"acknowledgment"')
        if first_word:
            reach("acknowledged.before")
        send(self, data)
        if first_word:
            self.flush()
            reach("acknowledged.after")

    async def deliver_terminal(self: LocalConnections, connection_id: str, *arguments: Any, **options: Any) -> None:
        final = options.get("final")
        if final:
            reach("delivered.before")
        await deliver(self, connection_id, *arguments, **options)
        if final:
            self.get(connection_id).flush()
            reach("delivered.after")

    WebSocketPeer.send = acknowledge
    LocalConnections.send = deliver_terminal


if __name__ == "__main__":
    for name, step_name in STEPS.items():
        around(name, step_name)
    around_enqueue()
    around_claim()
    around_sending()
    sys.argv[0] = "streamer"
    main()
