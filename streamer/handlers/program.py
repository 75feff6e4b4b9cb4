"""One run of one program: started without a shell, in a process group of its own, and stopped with all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, cast

from streamer.core.clock import Clock
from streamer.core.errors import Error

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


class Program(asyncio.SubprocessProtocol):
    """A program that runs. What it writes is handed on as it comes, so it never waits for us.

    Args:
        on_stdout: called with each piece of stdout; an `Error` that it raises ends the run.
        on_stderr: called with each piece of stderr.
        clock: measures the grace.
        grace: seconds between SIGTERM and SIGKILL; and for which output is still waited for once the program has
            ended but something that it started holds its output open.
    """

    def __init__(
        self, on_stdout: Callable[[bytes], None], on_stderr: Callable[[bytes], None], clock: Clock, grace: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        """Ends when the program has ended and all its output is read, or with what `on_stdout` raised."""
        self._exited: asyncio.Future[None] = loop.create_future()
        self._receivers = {_STDOUT: on_stdout, _STDERR: on_stderr}
        self._open = {_STDOUT, _STDERR}
        self._clock = clock
        self._grace = grace
        self._lingering: asyncio.Task[None] | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._group = 0

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes,
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        clock: Clock,
        grace: float,
    ) -> Self:
        """Starts it and hands it `stdin`, then the end of its input, as fast as it reads.

        Raises:
            OSError, ValueError: the system refuses to run it.
        """
        loop = asyncio.get_running_loop()
        program = cls(on_stdout, on_stderr, clock, grace)
        transport, _ = await loop.subprocess_exec(
            lambda: program, *argv, cwd=cwd, env=dict(env), start_new_session=True
        )
        program._begin(transport, stdin)
        return program

    def _begin(self, transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
        self._transport = transport
        self._group = transport.get_pid()
        pipe = cast("asyncio.WriteTransport", transport.get_pipe_transport(_STDIN))
        # A program that reads nothing may have ended by now, and its input with it.
        if not pipe.is_closing():
            pipe.write(stdin)
            pipe.close()

    @property
    def status(self) -> int | None:
        """Exit status, or the number of the signal below zero; None while it runs."""
        return None if self._transport is None else self._transport.get_returncode()

    async def stop(self) -> bool:
        """Ends whatever still runs of it: SIGTERM, the grace, SIGKILL, to the whole group. Returns at once when all has
        ended by itself.

        Returns:
            False when even SIGKILL did not end it within another grace: it hangs in the kernel, or is not ours.
        """
        assert self._transport is not None, "the program has been started"
        if self._lingering is not None:
            self._lingering.cancel()
        if self.done.done() and not self.done.cancelled():
            # What went wrong is not asked for again where the caller was cancelled at the same moment.
            self.done.exception()
        try:
            await self._end()
        finally:
            self._let_go()
        return self._exited.done()

    async def _end(self) -> None:
        try:
            if not self._exited.done():
                self._signal(signal.SIGTERM)
                await self._wait_for_exit()
        finally:
            # At once when the caller loses patience and cancels this too.
            if self._open or not self._exited.done():
                self._signal(signal.SIGKILL)
        if not self._exited.done():
            await self._wait_for_exit()

    async def _wait_for_exit(self) -> None:
        over = asyncio.ensure_future(self._clock.sleep(self._grace))
        try:
            await asyncio.wait({self._exited, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)

    def _let_go(self) -> None:
        assert self._transport is not None, "the program has been started"
        pipe = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(_STDIN))
        if pipe is not None and pipe.get_write_buffer_size():
            # Closing waits until the rest is read; by something that was left behind, that may be never.
            pipe.abort()
        self._transport.close()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Part of `asyncio.SubprocessProtocol`."""
        if self.done.done():
            return
        try:
            self._receivers[fd](data)
        except Error as error:
            self.done.set_exception(error)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - its reason changes nothing
        """Part of `asyncio.SubprocessProtocol`."""
        self._open.discard(fd)
        self._check()

    def process_exited(self) -> None:
        """Part of `asyncio.SubprocessProtocol`."""
        if not self._exited.done():
            self._exited.set_result(None)
        self._check()
        if not self.done.done():
            self._lingering = asyncio.ensure_future(self._linger())

    def _check(self) -> None:
        if self._exited.done() and not self._open:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    async def _linger(self) -> None:
        await self._clock.sleep(self._grace)
        self._finish()


def exit_details(status: int) -> dict[str, Any]:
    """`{"exit": 3}`, or `{"exit": -9, "signal": "Killed"}`."""
    return {"exit": status} if status >= 0 else {"exit": status, "signal": signal.strsignal(-status)}
