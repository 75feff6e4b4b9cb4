"""Lambda functions: a sandbox runs one invocation at a time, and is killed when it takes too long."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from streamer.core.clock import Clock
from streamer.core.errors import StreamerError
from streamer_aws.emulator.bounded_waits import Tasks, done_within, stop_all
from streamer_aws.emulator.faults import Fault, Faults
from streamer_aws.emulator.ids import function_arn, request_id

NAMES: Final = ("connect", "disconnect", "default", "processor", "sweep")
"""The functions of a service, each a handler of `streamer_aws`."""

Invoke = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls the function with that name with an event; raises as `Function.invoke`."""


class FunctionError(StreamerError):
    """An invocation that ended without an answer: the handler raised, took too long, or its sandbox died.

    Args:
        kind: the name of the error in Lambda, such as `Sandbox.Timedout`, or the exception's class.
        message: what went wrong.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Throttled(StreamerError):
    """The maximum number of invocations is running already."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a function."""

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    deadline: float
    """Wall-clock seconds."""


class Sandbox(Protocol):
    """One execution environment of one function. It runs one invocation at a time."""

    def invoke(self, event: bytes, invocation: Invocation) -> Coroutine[Any, Any, bytes]:
        """The handler's answer as JSON.

        Raises:
            FunctionError: it raised, or died.
        """
        ...

    async def kill(self) -> None:
        """Kills it now; a running invocation ends with FunctionError, or is cancelled."""
        ...

    async def close(self) -> None:
        """Ends it when it is idle."""
        ...


class Function:
    """One function and its sandboxes, which are created when needed and kept for later invocations.

    Args:
        name: one of `NAMES`.
        make: creates a sandbox.
        timeout: seconds of an invocation; then its sandbox is killed.
        sandboxes: the maximum number. When all are busy, an invocation waits, as for a cold start.
        concurrency: the maximum number of running and waiting invocations; others are throttled.
        region: for its ARN.
        faults: on demand.
        clock: time.
        logger: for failed invocations.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Awaitable[Sandbox]],
        *,
        timeout: float,
        sandboxes: int,
        concurrency: int,
        region: str,
        faults: Faults,
        clock: Clock,
        logger: Any,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.cold_starts = 0
        self._make = make
        self._concurrency = concurrency
        self._arn = function_arn(region, name)
        self._faults = faults
        self._clock = clock
        self._logger = logger
        self._idle: deque[Sandbox] = deque()
        self._free = asyncio.Semaphore(sandboxes)
        self._inside = 0
        self._closing = Tasks()

    async def invoke(self, event: dict[str, Any]) -> Any:
        """The answer of the handler, converted to JSON and back.

        Raises:
            Throttled: too many invocations are running.
            FunctionError: it raised, took too long, or its sandbox died.
        """
        if self._inside >= self._concurrency:
            raise Throttled(f"{self.name}: {self._concurrency} invocations are already running")
        self._inside += 1
        try:
            async with self._free:
                return orjson.loads(await self._run(orjson.dumps(event, default=_binary)))
        except FunctionError as problem:
            self._logger.error("function failed", function=self.name, error=str(problem))
            raise
        finally:
            self._inside -= 1

    async def _run(self, event: bytes) -> bytes:
        sandbox = await self._sandbox()
        invocation = Invocation(request_id(), self.name, self._arn, self._clock.now() + self.timeout)
        plan = self._faults.take(Fault.KILLED_SANDBOX, self.name)
        limit = self.timeout if plan is None else min(plan.after, self.timeout)
        running = asyncio.get_running_loop().create_task(sandbox.invoke(event, invocation))
        healthy = False
        try:
            if not await done_within(self._clock, limit, running):
                if plan is not None and plan.after <= self.timeout:
                    raise FunctionError("Runtime.ExitError", "the sandbox was killed by a requested fault")
                raise FunctionError("Sandbox.Timedout", f"Task timed out after {self.timeout:.2f} seconds")
            try:
                answer = running.result()
            except SandboxDied as problem:
                raise FunctionError("Runtime.ExitError", str(problem)) from problem
            except FunctionError:
                healthy = True
                raise
            healthy = True
            return answer
        finally:
            if healthy:
                self._idle.append(sandbox)
            else:
                # A caller that waits for the answer need not wait for the end of the sandbox too.
                self._closing.start(_end(sandbox, running))

    async def _sandbox(self) -> Sandbox:
        if self._idle:
            return self._idle.pop()
        self.cold_starts += 1
        making = asyncio.ensure_future(self._make())
        try:
            # Completed even if the caller gives up: a half-created sandbox could not be ended.
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            self._closing.start(_unwanted(making))
            raise
        except Exception as problem:
            raise FunctionError("Runtime.InitError", f"{type(problem).__name__}: {problem}") from problem

    async def close(self) -> None:
        """Ends all sandboxes; no further invocations are allowed."""
        await self._closing.finish()
        while self._idle:
            await self._idle.pop().close()


class SandboxDied(StreamerError):
    """The sandbox ended during an invocation, by itself or by a kill."""


async def _unwanted(making: Awaitable[Sandbox]) -> None:
    with contextlib.suppress(Exception):
        await (await making).kill()


async def _end(sandbox: Sandbox, running: asyncio.Task[bytes]) -> None:
    await stop_all([running])
    await sandbox.kill()


def _binary(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is not JSON")
