"""Messages between the processes of one service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

Receive = Callable[[bytes], None]
"""Called with each message, on the loop's thread. It must return immediately and raise nothing."""


class Bus(Protocol):
    """Carries messages from any process to the process that listens on an address.

    A message arrives once or not at all, and the messages from one process to one address arrive in order. Nothing is
    stored: a message to an address without a listener is lost. A lost outcome stays in the store as undelivered, and
    its owner gets it by resuming.
    """

    async def publish(self, address: str, message: bytes, /) -> None:
        """Sends a message, up to the size of the largest result. Does not wait until it has arrived.

        Messages are published in the order of the calls, even if one call has not returned when the next starts.

        Raises:
            NotSent: the bus does not accept it now.
        """
        ...

    def listen(self, address: str, receive: Receive, /) -> AbstractAsyncContextManager[None]:
        """Within the context, messages to this address are received: all that are published after it was entered.

        No two processes listen on the same address. The bus itself reopens broken connections.
        """
        ...
