"""Messages between the processes of one service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

Receive = Callable[[bytes], None]
"""Called with each message, on the loop's thread. It returns at once and raises nothing."""


class Bus(Protocol):
    """Carries messages from any process to the one that listens at an address.

    A message arrives once or not at all, and what one process publishes to one address arrives in that order. Nothing
    is kept: a message to an address where nobody listens is lost. An outcome that is lost so stays in the store as not
    delivered, and its owner gets it on resuming.
    """

    async def publish(self, address: str, message: bytes, /) -> None:
        """Sends a message of any size up to that of the largest result. It does not wait until it has arrived.

        Messages are published in the order of the calls, also where one call has not returned when the next begins.

        Raises:
            NotSent: the bus does not take it now.
        """
        ...

    def listen(self, address: str, receive: Receive, /) -> AbstractAsyncContextManager[None]:
        """Within the context, messages to this address are received: all that are published after it was entered.

        No two processes listen at one address. A connection that breaks is opened again by the bus itself.
        """
        ...
