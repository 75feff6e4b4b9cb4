"""One run of one program: started without a shell, in its own process group, and stopped with the whole group."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from streamer.core.clock import Clock
from streamer.core.errors import Error
from streamer.handlers.pipes import InputPipe, OutputPipe
from streamer.subprocesses.programs import Programs

_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
_PIECE_OF_STDOUT: Final = 4096
_PIECE_OF_STDERR: Final = 512
"""Smaller than for stdout: each line becomes a line of the log, which costs more."""


class Program:
    """A running program. Its output is passed on as it arrives, so it never waits long for us.

    It ends with this process, even if that is killed: see `streamer.subprocesses.supervisor`.

    Args:
        on_stdout: called with each piece of stdout; an `Error` that it raises ends the run.
        on_stderr: called with each piece of stderr.
        clock: measures the grace.
        grace: seconds between SIGTERM and SIGKILL, and how long to wait for output after the program has ended, if a
            process that it started holds its output open.
    """

    def __init__(
        self, on_stdout: Callable[[bytes], None], on_stderr: Callable[[bytes], None], clock: Clock, grace: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        """Done when the program has ended and all its output is read, or with the exception of `on_stdout`."""
        self.exited: asyncio.Future[None] = loop.create_future()
        """Done when the program has ended, even if its output is still open."""
        self.status: int | None = None
        """Exit status, or the negative number of the signal; None while it runs."""
        self._programs = Programs.of_loop()
        self._on_stdout = on_stdout
        self._on_stderr = on_stderr
        self._clock = clock
        self._grace = grace
        self._lingering: asyncio.Task[None] | None = None
        self._stdin: InputPipe | None = None
        self._outputs: list[OutputPipe] = []
        self._group = 0
        self._holds_pipes = False

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
        """Starts it and writes `stdin` to its input, which is then closed.

        Raises:
            OSError, ValueError: the system refuses to run it.
        """
        program = cls(on_stdout, on_stderr, clock, grace)
        ours, theirs = await _pipes_in_turn(program._programs)
        program._holds_pipes = True
        try:
            program._group = await program._programs.start(
                argv, cwd=cwd, env=env, streams=theirs, on_end=program._ended
            )
        except BaseException:
            _close(ours)
            program._give_back()
            program.done.cancel()
            raise
        finally:
            _close(theirs)
        program._stdin = InputPipe(ours[0], stdin)
        program._outputs = [
            OutputPipe(ours[1], _PIECE_OF_STDOUT, program._read_stdout, program._check),
            OutputPipe(ours[2], _PIECE_OF_STDERR, on_stderr, program._check),
        ]
        return program

    async def stop(self) -> bool:
        """Ends whatever still runs of it: SIGTERM, the grace, SIGKILL, for the whole group. Returns immediately when
        everything has ended; processes that no longer hold the program's output are not stopped.

        Returns:
            False when even SIGKILL did not end it within another grace: it is blocked in the kernel, or belongs to
                another user.
        """
        if self._lingering is not None:
            self._lingering.cancel()
        if self.done.done() and not self.done.cancelled():
            # Exceptions are already known; here the caller was cancelled at the same moment.
            self.done.exception()
        try:
            await self._end()
        finally:
            self._let_go()
        return self.exited.done()

    async def _end(self) -> None:
        stopped = not self.exited.done()
        try:
            if stopped:
                self._signal(signal.SIGTERM)
                await self._wait_for_exit()
        finally:
            # Immediately when the caller cancels this too. Processes that a finished program has detached from its
            # output continue.
            if stopped or self._is_open():
                self._signal(signal.SIGKILL)
        if not self.exited.done():
            await self._wait_for_exit()

    async def _wait_for_exit(self) -> None:
        over = asyncio.ensure_future(self._clock.sleep(self._grace))
        try:
            await asyncio.wait({self.exited, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()

    def _signal(self, number: int) -> None:
        self._programs.signal(self._group, number)

    def _let_go(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
        for output in self._outputs:
            output.close()
        self._give_back()

    def _give_back(self) -> None:
        held, self._holds_pipes = self._holds_pipes, False
        if held:
            self._programs.give_back()

    def _is_open(self) -> bool:
        # It may end before its pipes are read.
        return not self._outputs or any(output.open for output in self._outputs)

    def _read_stdout(self, data: bytes) -> None:
        if self.done.done():
            return
        try:
            self._on_stdout(data)
        except Error as error:
            self.done.set_exception(error)

    def _ended(self, status: int) -> None:
        self.status = status
        self.exited.set_result(None)
        self._check()
        if not self.done.done():
            self._lingering = asyncio.ensure_future(self._linger())

    def _check(self) -> None:
        if self.exited.done() and not self._is_open():
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    async def _linger(self) -> None:
        await self._clock.sleep(self._grace)
        self._finish()


async def _pipes_in_turn(programs: Programs) -> tuple[list[int], list[int]]:
    """As `_pipes`, once descriptors are available: other running programs will release theirs, and an attempt must not
    be lost for lack of them.
    """
    while True:
        try:
            pipes = _pipes()
        except OSError as problem:
            if problem.errno not in _NO_DESCRIPTORS or not await programs.until_given_back():
                raise
        else:
            programs.take()
            return pipes


def _pipes() -> tuple[list[int], list[int]]:
    """Our ends and the program's ends of stdin, stdout and stderr.

    Raises:
        OSError: no descriptors are left.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for to_program in (True, False, False):
            read, write = os.pipe()
            ours.append(write if to_program else read)
            theirs.append(read if to_program else write)
    except OSError:
        _close([*ours, *theirs])
        raise
    return ours, theirs


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def exit_details(status: int) -> dict[str, Any]:
    """`{"exit": 3}`, or `{"exit": -9, "signal": "Killed"}`."""
    return {"exit": status} if status >= 0 else {"exit": status, "signal": signal.strsignal(-status)}
