"""Runs a program for each request: an action without Python code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from streamer.contracts.components import BuildContext
from streamer.contracts.handlers import BaseHandler
from streamer.core.clock import Clock
from streamer.core.context import leave_running
from streamer.core.errors import INTERNAL_ERROR, TIMEOUT, VALIDATION_ERROR, Error, StartError
from streamer.core.messages import Request, Result
from streamer.core.units import format_duration, parse_duration, parse_size
from streamer.handlers.command_options import environment, problems, program
from streamer.handlers.json_lines import JsonLines
from streamer.handlers.logs import LineLog, request_logger
from streamer.handlers.program import Program, exit_details
from streamer.subprocesses.programs import SCARCE

GRACE: Final = 2.0

_LONGEST_METADATA: Final = 64 * 1024
"""Bytes; the system refuses to start a program with more in one variable than about twice that."""


class CommandHandler(BaseHandler):
    """Runs a program with the payload on its stdin, and reads JSON lines from its stdout.

    The program's input is one JSON document and a line break. Its environment has `STREAMER_REQUEST_ID`,
    `STREAMER_ACTION`, `STREAMER_ATTEMPT` and `STREAMER_METADATA` (a JSON object). No shell is used.

    Args:
        argv: the program's absolute path, and its arguments.
        cwd: its working directory.
        env: its environment, except for the four variables above.
        clock: measures timeout and grace.
        logger: gets its stderr, line by line.
        timeout: seconds that one run may take; None: the action's timeout.
        max_output: maximum bytes of one line of its output.
        grace: seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        clock: Clock,
        logger: Any,
        timeout: float | None = None,
        max_output: int = 1024 * 1024,
        grace: float = GRACE,
    ) -> None:
        super().__init__(estimated_duration=1.0)
        self._argv = tuple(argv)
        self._name = Path(argv[0]).name
        self._cwd = cwd
        self._env = dict(env)
        self._clock = clock
        self._logger = logger
        self._timeout = timeout
        self._max_output = max_output
        self._grace = grace

    async def process(self, request: Request, /) -> Result:
        """The program's outcome.

        Raises:
            Error: the program's own; TIMEOUT; INTERNAL_ERROR with `exit` in its details when the program has a nonzero
                exit status and no outcome (retryable when a signal ended it), and with `line` when it violates the
                protocol.
        """
        logger = request_logger(self._logger, request)
        lines = JsonLines(request.progress, self._max_output)
        stderr = LineLog(logger, self._name)
        program = await self._start(request, lines, stderr)
        try:
            await self._until_done(program)
            outcome = lines.end()
        finally:
            if not await program.stop():
                logger.error("%s cannot be killed and keeps running", self._name)
                leave_running(program.exited)
            stderr.end()
        if outcome is None and program.status:
            raise self._ended_badly(program.status, stderr)
        if isinstance(outcome, Error):
            raise outcome
        return outcome or Result()

    async def _start(self, request: Request, lines: JsonLines, stderr: LineLog) -> Program:
        metadata = msgspec.json.encode(request.metadata)
        if len(metadata) > _LONGEST_METADATA:
            raise Error(VALIDATION_ERROR, f"The metadata is longer than {_LONGEST_METADATA} bytes")
        env = {
            **self._env,
            "STREAMER_REQUEST_ID": request.id,
            "STREAMER_ACTION": request.action,
            "STREAMER_ATTEMPT": str(request.attempt),
            "STREAMER_METADATA": metadata.decode(),
        }
        try:
            return await Program.start(
                self._argv,
                cwd=self._cwd,
                env=env,
                stdin=msgspec.json.encode(request.payload) + b"\n",
                on_stdout=lines.feed,
                on_stderr=stderr.feed,
                clock=self._clock,
                grace=self._grace,
            )
        except (OSError, ValueError) as problem:
            scarce = isinstance(problem, OSError) and problem.errno in SCARCE
            error = Error(INTERNAL_ERROR, "The program of this action could not be started", retryable=scarce)
            hint = "; does it start with a line like #!/bin/sh?" if "Exec format" in str(problem) else ""
            error.add_note(f"{self._argv[0]} could not be started in {self._cwd}: {problem}{hint}")
            raise error from problem

    async def _until_done(self, program: Program) -> None:
        if self._timeout is None:
            await program.done
            return
        over = asyncio.ensure_future(self._clock.sleep(self._timeout))
        try:
            await asyncio.wait({program.done, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        if not program.done.done():
            raise Error(TIMEOUT, f"The program took longer than {format_duration(self._timeout)}")
        await program.done

    def _ended_badly(self, status: int, stderr: LineLog) -> Error:
        said = f"exit status {status}" if status > 0 else f"signal {-status}"
        error = Error(
            INTERNAL_ERROR,
            f"The program ended with {said} and without a result",
            exit_details(status),
            retryable=status < 0,
        )
        if stderr.last:
            error.add_note(f"the last lines of {self._name}'s stderr: " + " | ".join(stderr.last))
        return error


def build(options: Mapping[str, Any], context: BuildContext) -> CommandHandler:
    """The handler for an action's options.

    Raises:
        StartError: the program or its folder does not exist, or may not be executed.
    """
    env = environment(options)
    argv = options["argv"]
    for problem in problems(options, context):
        raise StartError(problem.message)
    cwd = context.path(options.get("cwd", "."))
    timeout = options.get("timeout")
    return CommandHandler(
        [str(program(argv[0], env.get("PATH"), context)), *argv[1:]],
        cwd=cwd,
        env=env,
        clock=context.clock,
        logger=context.logger,
        timeout=None if timeout is None else parse_duration(timeout),
        max_output=parse_size(options.get("max_output", "1MiB")),
    )
