"""The parent's side."""

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
    """A child process that runs one function of ours and exchanges whole messages.

    The child ignores SIGINT, SIGTERM, SIGHUP and SIGQUIT (the parent decides when its children end), has its own
    session and ends when the parent's end of the socket closes, in whatever way the parent ended.

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
        """How the child ended: its exit status, or the negative number of the signal. None while it runs."""
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts the process. Does not wait for its first message.

        Raises:
            OSError: the system cannot start another process.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        with SPARE.lent():
            ours = self._start()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            await loop.create_connection(lambda: self, sock=ours)
        except BaseException:
            # Cancelled in the middle: a child that cannot be reached must not be left behind.
            ours.close()
            self.kill()
            raise

    def _start(self) -> socket.socket:
        """Starts the process and returns our end of its socket."""
        ours, theirs = socket.socketpair()
        number = str(theirs.fileno())
        try:
            # The child needs our import path, whatever set it (a script's folder, an editable install, PYTHONPATH).
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            self._process = subprocess.Popen(  # noqa: S603 - runs this interpreter only
                [sys.executable, "-m", "streamer.subprocesses.child", number, self._target, str(limit_of_children())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
                # Not in our terminal's group: the parent decides what happens on Ctrl-C or when the terminal is closed.
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def send(self, message: bytes) -> None:
        """Sends one message immediately, in one write. Callers with many messages should join them, because a busy loop
        is slow. Lost if the child is gone.
        """
        if self._transport is not None:
            self._transport.write(frame(message))

    def kill(self) -> None:
        """Kills the child now, by SIGKILL, with the programs that it runs. `on_exit` will not be called."""
        self._on_exit = None
        if self._process is not None:
            _kill_group(self._process)
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def close(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a bound on the child, not on the caller
        """Lets the child process what it was sent and exit; kills it after `timeout` seconds.

        Cancelling it kills the child immediately.
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
                        # Its end of the socket closes before it has ended: it may finish.
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
            # A child may close its socket and continue to run; then it is killed. One that is exiting keeps its own
            # status.
            _kill_group(self._process)
            on_exit()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        # Before its status is collected: until then no other process can get its id.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
