"""Sandboxes inside this process: fast, for thousands of tests.

They differ from Lambda in three points: code in a killed sandbox sees its own cancellation (and can no longer write
anything), no sandbox is frozen between its invocations, and all share one interpreter. `processes` has real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from streamer.core.clock import Clock
from streamer_aws.emulator.functions import FunctionError, Invocation


class Handlers(Protocol):
    """What a sandbox runs: `streamer_aws.Sandbox`, or a test's own object."""

    async def connect(self, event: dict[str, Any], context: Any) -> Any:
        """`$connect`."""
        ...

    async def disconnect(self, event: dict[str, Any], context: Any) -> Any:
        """`$disconnect`."""
        ...

    async def default(self, event: dict[str, Any], context: Any) -> Any:
        """A message."""
        ...

    async def processor(self, event: dict[str, Any], context: Any) -> Any:
        """A batch from the queue or the stream."""
        ...

    async def sweep(self, event: dict[str, Any], context: Any) -> Any:
        """The schedule."""
        ...

    async def close(self) -> None:
        """The end of the sandbox."""
        ...

    async def kill(self) -> None:
        """The end of the sandbox during an invocation."""
        ...


class Context:
    """The context object of a handler.

    Args:
        invocation: the call.
        clock: time.
    """

    def __init__(self, invocation: Invocation, clock: Clock) -> None:
        self.aws_request_id = invocation.aws_request_id
        self.function_name = invocation.function_name
        self.function_version = "$LATEST"
        self.invoked_function_arn = invocation.invoked_function_arn
        self.memory_limit_in_mb = "1024"
        self._deadline = invocation.deadline
        self._clock = clock

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda kills the sandbox; 0 after that."""
        return max(int((self._deadline - self._clock.now()) * 1000), 0)


class InProcess:
    """A sandbox whose handler is a coroutine of this process.

    Args:
        handlers: a new object, for this sandbox alone.
        name: which of its methods is the handler.
        clock: for the context.
    """

    def __init__(self, handlers: Handlers, name: str, clock: Clock) -> None:
        self._handlers = handlers
        self._handler: Callable[[dict[str, Any], Any], Any] = getattr(handlers, name)
        self._clock = clock
        self._running: asyncio.Task[Any] | None = None

    async def invoke(self, event: bytes, invocation: Invocation) -> bytes:
        try:
            answer = await self._handler(orjson.loads(event), Context(invocation, self._clock))
            # As in Lambda's runtime: a result that is not JSON is an error of the function.
            return orjson.dumps(answer)
        except Exception as problem:
            raise FunctionError(type(problem).__name__, str(problem)) from problem

    async def kill(self) -> None:
        """The invocation is cancelled by the function; everything else that it started ends here."""
        await self._handlers.kill()

    async def close(self) -> None:
        await self._handlers.close()
