"""Receives messages from other processes for connections of this one."""

from __future__ import annotations

from collections.abc import Awaitable

from streamer.contracts.stores import Key
from streamer.core.coroutines import DONE
from streamer.engine.background import BackgroundTasks
from streamer.engine.delivery import Delivery
from streamer.engine.shared_subscribers import SharedSubscribers


class ForwardedMessages:
    """Passes them to the delivery: their connections have caught up, or get an outcome once they have.

    Args:
        delivery: of this process.
        subscribers: know what the connections of this process wait for.
    """

    def __init__(self, delivery: Delivery, subscribers: SharedSubscribers) -> None:
        self._delivery = delivery
        self._subscribers = subscribers
        self._background = BackgroundTasks()

    def receive(self, key: Key, connection_id: str, message: bytes, final: bool) -> None:
        """One message of a request. The sending process has claimed an outcome."""
        if final:
            self._subscribers.ended_here(key, connection_id)
        sending = self._delivery.send_here(key, connection_id, message, final=final)
        if sending is not DONE:
            self._background.start(_finish(sending))


async def _finish(sending: Awaitable[None]) -> None:
    await sending
