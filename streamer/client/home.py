"""The event loop and the process that a client belongs to."""

from __future__ import annotations

import asyncio
import os


class Home:
    """Remembers where a client was first used. Elsewhere it would wait forever, so that is an error."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def check(self) -> None:
        """Makes the running loop the client's, unless it has one.

        Raises:
            RuntimeError: it has another one.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._process = loop, os.getpid()
        elif self._loop is not loop or self._process != os.getpid():
            # A fork copies a loop with its sockets: data sent here would be sent on the other process's connection.
            raise RuntimeError(self._explained())

    def leave(self) -> bool:
        """The client is being closed, and may be used elsewhere afterwards.

        Returns:
            whether its loop runs here. Otherwise that loop has ended, or belongs to another process: the client's
                objects there no longer exist, and cannot be closed.

        Raises:
            RuntimeError: its loop is another one that has not ended.
        """
        here = self._loop is None or (self._loop is asyncio.get_running_loop() and self._process == os.getpid())
        if not here and self._process == os.getpid() and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(self._explained())
        self._loop = None
        return here

    def _explained(self) -> str:
        if self._process != os.getpid():
            return "This StreamerClient was used before a fork, in another process; create a new one in each process"
        ended = self._loop is not None and self._loop.is_closed()
        what = "an event loop that has ended" if ended else "another event loop"
        return (
            f"This StreamerClient belongs to {what}; create one for each loop, or close it before the next loop uses it"
        )
