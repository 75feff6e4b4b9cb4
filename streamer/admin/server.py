"""The admin port: aiohttp on an event loop and a thread of its own, so that it answers while the service's loop is
busy, and a scrape takes no turn of that loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from streamer.admin.bounded_connections import BoundedConnections
from streamer.admin.guard import Asked, Guard

MAX_BODY: Final = 64 * 1024
"""Bytes of the body of a request."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_MALFORMED: Final = logging.getLogger("streamer.admin.malformed")
"""Where aiohttp reports requests that are no HTTP. Nobody reads it, or any client could fill the service's log; what
fails in a handler is logged here, by `AdminServer`."""
_MALFORMED.disabled = True
_CLOSE: Final = 2.0
"""Seconds that open answers get when the port closes."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Routes = Mapping[tuple[str, str], Handler]
"""Handlers by method and path; a path may have parts such as `{id}`."""


class AdminServer:
    """Listens and answers. Made on the service's event loop.

    Args:
        routes: what is answered. GET answers HEAD as well.
        guard: decides what is not.
        host: to listen on.
        port: likewise; 0 for any free one.
        logger: for what fails unexpectedly.
    """

    def __init__(self, routes: Routes, guard: Guard, *, host: str, port: int, logger: Any) -> None:
        self._routes = routes
        self._guard = guard
        self._host = host
        self._port = port
        self._logger = logger
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="streamer-admin", daemon=True)
        self._service = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Listens. Returns the port.

        Raises:
            OSError: it cannot be listened on.
        """
        self._thread.start()
        try:
            port: int = await self._there(self._listen())
        except BaseException:
            await self.close()
            raise
        return port

    async def close(self) -> None:
        """Closes the port and ends the thread."""
        if self._thread.is_alive() and not self._ended.is_set():
            await self._there(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            # Not by a thread that joins it: functions that handlers left running may have all threads of the loop.
            await self._ended.wait()
            # It has nothing left to do but to end.
            self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()
        # A service that was not closed in order no longer has a loop.
        with contextlib.suppress(RuntimeError):
            self._service.call_soon_threadsafe(self._ended.set)

    async def _there(self, call: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(call, self._loop)
        return await asyncio.wrap_future(future)

    async def _listen(self) -> int:
        app = web.Application(middlewares=[self._serve], client_max_size=MAX_BODY)
        for (method, path), handler in self._routes.items():
            if method == "GET":
                app.router.add_get(path, handler)
            else:
                app.router.add_route(method, path, handler)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE, logger=_MALFORMED
        )
        await self._runner.setup()
        assert self._runner.server is not None, "the runner was set up"
        protocols = BoundedConnections(self._runner.server, self._loop)
        self._listener = await self._loop.create_server(protocols, self._host, self._port)
        return int(self._listener.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = self._guard.refusal(
            Asked(
                method=request.method,
                path=request.path,
                host=request.headers.get("Host", ""),
                authorization=request.headers.get("Authorization", ""),
                fetch_site=request.headers.get("Sec-Fetch-Site", ""),
                content_type=request.headers.get("Content-Type", ""),
                has_body=request.can_read_body,
            )
        )
        if refused is not None:
            headers = {"WWW-Authenticate": "Bearer"} if refused.status is HTTPStatus.UNAUTHORIZED else {}
            answer: web.StreamResponse = plain(refused.message, refused.status, headers)
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as problem:
                answer = plain(problem.reason, HTTPStatus(problem.status), _allow(problem))
            except Exception as problem:
                self._logger.error("a request to the admin port failed", path=request.path, exc_info=problem)
                answer = plain("internal error; the log says more", HTTPStatus.INTERNAL_SERVER_ERROR)
        answer.headers.update(_HEADERS)
        # One request a connection: a connection without a request under way is one of a silent client.
        answer.force_close()
        return answer


def plain(text: str, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of one or more lines."""
    return web.Response(text=f"{text}\n", status=status, headers=headers)


def _allow(problem: web.HTTPException) -> dict[str, str]:
    allowed = problem.headers.get("Allow")
    return {} if allowed is None else {"Allow": allowed}
