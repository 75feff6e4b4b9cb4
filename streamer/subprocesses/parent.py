"""The parent's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import cast

from streamer.subprocesses.descriptors import SPARE, limit_of_children
from streamer.subprocesses.framing import Unframer, frame


class Child(asyncio.Protocol):
    """A child process that runs one function of ours and talks in whole messages.

    The child ignores SIGINT, SIGTERM, SIGHUP and SIGQUIT (the parent decides when its children go), has a session of
    its own and ends by itself when its parent's end of the socket closes, however the parent died.

    Args:
        target: `module:function`; called in the child with a `streamer.subprocesses.child.Channel`.
        on_message: called on the loop with each message of the child.
        on_exit: called once on the loop when the child is gone, unless `close` or `kill` was called first.
    """

    def __init__(self, target: str, *, on_message: Callable[[bytes], None], on_exit: Callable[[], None]) -> None:
        self._target = target
        self._on_message = on_message
        self._on_exit: Callable[[], None] | None = on_exit
        self._unframer = Unframer()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pid(self) -> int:
        """Process id of the child."""
        assert self._process is not None, "the child has not been started"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How the child ended: its exit status, or the number of the signal below zero. None while it lives."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts the process. It does not wait for its first word.

        Raises:
            OSError: the machine refuses another process.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        with SPARE.lent():
            ours = self._start()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            await loop.create_connection(lambda: self, sock=ours)
        except BaseException:
            # Cancelled half-way: a child that nobody can speak to must not be left behind.
            ours.close()
            self.kill()
            raise

    def _start(self) -> socket.socket:
        """Starts the process and returns our end of its socket."""
        ours, theirs = socket.socketpair()
        number = str(theirs.fileno())
        try:
            # The child needs our import path, whatever made it (a script's folder, an editable install, PYTHONPATH).
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            self._process = subprocess.Popen(  # noqa: S603 - runs this interpreter only
                [sys.executable, "-m", "streamer.subprocesses.child", number, self._target, str(limit_of_children())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
                # Not of our terminal's group: what a Ctrl-C or a closed terminal sends is the parent's to decide on.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def send(self, message: bytes) -> None:
        """Sends one message, in one write and at once: under load a turn of the loop is long, and whoever has many
        messages to send puts them together. Lost if the child is gone.
        """
        if self._transport is not None:
            self._transport.write(frame(message))

    def kill(self) -> None:
        """Ends the child now, by SIGKILL, with the programs that it runs. `on_exit` will not be called."""
        self._on_exit = None
        if self._process is not None:
            _kill_group(self._process)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def close(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a bound on the child, not on the caller
        """Lets the child finish what it was sent and end by itself; kills it after `timeout` seconds.

        Cancelled, it kills the child at once.
        """
        self._on_exit = None
        try:
            if self._transport is not None:
                self._transport.write_eof()
                assert self._gone is not None
                assert self._process is not None
                with contextlib.suppress(TimeoutError, subprocess.TimeoutExpired):
                    async with asyncio.timeout(timeout):
                        await asyncio.shield(self._gone)
                        # Its end of the socket closes before it has ended: its way out is its to finish.
                        await asyncio.to_thread(self._process.wait, timeout)
        finally:
            self.kill()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._unframer.feed(data):
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its reason changes nothing
        self._transport = None
        assert self._gone is not None
        assert self._process is not None
        self._gone.set_result(None)
        on_exit, self._on_exit = self._on_exit, None
        if on_exit is not None:
            # A child may close its socket and yet live on; gone means gone. One that is ending keeps its own status.
            _kill_group(self._process)
            on_exit()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        # Before its status is collected: until then nobody else can have its number.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
