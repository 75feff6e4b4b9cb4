"""Sandboxes as real processes: `awslambdaric` runs the handler with a Runtime API that is served here.

A process is stopped between its invocations, as Lambda freezes a sandbox: nothing in it continues, and its connections
become stale. Source: "Using the Lambda runtime API for custom runtimes", version 2018-06-01.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from streamer_aws.emulator.bounded_waits import GRACE
from streamer_aws.emulator.functions import FunctionError, Invocation, SandboxDied

VERSION: Final = "2018-06-01"
PROGRAM: Final = """
import ctypes, runpy
ctypes.CDLL(None).prctl(1, 9)
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
"""
"""The runtime, after PR_SET_PDEATHSIG with SIGKILL: a frozen process would not notice that the emulator was killed."""
STDERR: Final = 2
MAX_BODY: Final = 8 * 1024 * 1024
"""Maximum bytes of an answer; Lambda's own limit is 6 MB."""


class Process:
    """One process with its own Runtime API.

    Args:
        handler: what it runs, such as `streamer_aws.default`.
        environ: its whole environment, to which the address of the API is added.
        name: the function's.
        timeout: of the function, in seconds; the process gets it.
    """

    def __init__(self, handler: str, environ: Mapping[str, str], *, name: str, timeout: float) -> None:
        self._handler = handler
        self._environ = environ
        self._name = name
        self._timeout = timeout
        self._asks: asyncio.Queue[asyncio.Future[web.Response]] = asyncio.Queue(1)
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._ending: asyncio.Task[int] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Process:
        """Starts the process. It is ready when it first asks for an invocation; the first invocation waits for that."""
        app = web.Application(client_max_size=MAX_BODY)
        place = f"/{VERSION}/runtime"
        app.router.add_get(f"{place}/invocation/next", self._next)
        app.router.add_post(f"{place}/invocation/{{id}}/response", self._response)
        app.router.add_post(f"{place}/invocation/{{id}}/error", self._error)
        app.router.add_post(f"{place}/init/error", self._error)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self._process = await self._spawn(*self._runner.addresses[0][:2])
        except BaseException:
            await self._runner.cleanup()
            raise
        self._ending = asyncio.ensure_future(self._process.wait())
        return self

    async def _spawn(self, host: str, port: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            self._handler,
            stdin=asyncio.subprocess.DEVNULL,
            # The runtime writes its log to standard output; ours is on standard error.
            stdout=STDERR,
            # In its own group: Ctrl-C is for the emulator.
            process_group=0,
            env={
                **self._environ,
                "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
                "AWS_LAMBDA_FUNCTION_NAME": self._name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
                "_HANDLER": self._handler,
            },
        )

    async def invoke(self, event: bytes, invocation: Invocation) -> bytes:
        assert self._ending is not None
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answer = answer
        asking = asyncio.ensure_future(self._asks.get())
        ending: asyncio.Future[Any] = self._ending
        try:
            await asyncio.wait({asking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                self._signal(signal.SIGCONT)
                asking.result().set_result(_event(event, invocation))
                await asyncio.wait({answer, ending}, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    return answer.result()
        finally:
            asking.cancel()
        # A handler that cannot be imported has printed the reason before its process ended.
        said = answer.exception() if answer.done() else None
        raise SandboxDied(f"the process ended with status {self._ending.result()}{f' ({said})' if said else ''}")

    async def kill(self) -> None:
        """Sends SIGKILL."""
        assert self._ending is not None
        assert self._runner is not None
        self._signal(signal.SIGKILL)
        await self._ending
        while not self._asks.empty():
            self._asks.get_nowait().set_result(web.Response(status=HTTPStatus.GONE))
        await self._runner.cleanup()

    async def close(self) -> None:
        """As on Lambda, where a function without extensions is not notified either."""
        await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    # The Runtime API.

    async def _next(self, _request: web.Request) -> web.StreamResponse:
        waiting: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()
        # The request is complete, so the process only waits: now it is stopped.
        self._signal(signal.SIGSTOP)
        await self._asks.put(waiting)
        return await waiting

    async def _response(self, request: web.Request) -> web.Response:
        return self._take(await request.read(), None)

    async def _error(self, request: web.Request) -> web.Response:
        body = await request.read()
        failure: dict[str, Any] = orjson.loads(body)
        kind = request.headers.get("Lambda-Runtime-Function-Error-Type") or failure.get("errorType") or "Unhandled"
        return self._take(b"", FunctionError(str(kind), str(failure.get("errorMessage", ""))))

    def _take(self, body: bytes, problem: FunctionError | None) -> web.Response:
        answer = self._answer
        if not answer.done():
            if problem is None:
                answer.set_result(body)
            else:
                answer.set_exception(problem)
        return web.json_response({"status": "OK"}, status=HTTPStatus.ACCEPTED)


def _event(event: bytes, invocation: Invocation) -> web.Response:
    return web.Response(
        body=event,
        content_type="application/json",
        headers={
            "Lambda-Runtime-Aws-Request-Id": invocation.aws_request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.invoked_function_arn,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        },
    )
