"""What is answered to probes: `/livez`, `/readyz`, `/ping`, and to Prometheus: `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aiohttp import web

from streamer.admin.exposition import Exposition
from streamer.admin.guard import Guard
from streamer.admin.heartbeat import ALIVE, Heartbeat
from streamer.admin.readiness import Readiness, Report
from streamer.admin.server import Handler, plain
from streamer.admin.stored_counts import StoredCounts
from streamer.core.ping_status import PingStatus

Answer = TypeVar("Answer")

BUSY: Final = 4.0
"""Seconds that the service's event loop has to answer, beyond which it counts as busy."""


class ServiceLoop:
    """Runs coroutines on the service's event loop, for handlers that run on another.

    Args:
        loop: of the service.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, call: Callable[[], object]) -> None:
        """Calls the function on the service's loop, as soon as that can."""
        self._loop.call_soon_threadsafe(call)

    async def run(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """What the coroutine returns.

        Raises:
            web.HTTPServiceUnavailable: the loop did not get to it in time.
        """
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            async with asyncio.timeout(BUSY):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            future.cancel()
            raise web.HTTPServiceUnavailable(reason="the event loop of the service is busy") from None


class Probes:
    """The handlers.

    Args:
        service: runs code on the service's loop.
        heartbeat: of that loop.
        readiness: of the service.
        guard: decides whether a request has the token; without it, reasons are not shown.
        exposition: of the metrics.
        stored: notified of each scrape, and reads the store at intervals.
        ping: creates the answer of `/ping`.
    """

    def __init__(
        self,
        service: ServiceLoop,
        heartbeat: Heartbeat,
        readiness: Readiness,
        guard: Guard,
        exposition: Exposition,
        stored: StoredCounts,
        ping: PingStatus,
    ) -> None:
        self._service = service
        self._heartbeat = heartbeat
        self._readiness = readiness
        self._guard = guard
        self._exposition = exposition
        self._stored = stored
        self._ping = ping

    def routes(self) -> dict[tuple[str, str], Handler]:
        """The handlers by method and path."""
        return {
            ("GET", "/livez"): self.livez,
            ("GET", "/readyz"): self.readyz,
            ("GET", "/ping"): self.ping,
            ("GET", "/metrics"): self.metrics,
        }

    async def livez(self, _request: web.Request) -> web.Response:
        """200 while the service's event loop turns; nothing else counts, so that no restart follows a slow store."""
        if self._heartbeat.alive:
            return plain("ok")
        silence = self._heartbeat.silence
        return plain(f"the event loop has not turned for {silence:.0f} s", HTTPStatus.SERVICE_UNAVAILABLE)

    async def readyz(self, request: web.Request) -> web.Response:
        """200 while the service can do its work; with `verbose` each check on a line, with `exclude` without some."""
        if not self._heartbeat.alive:
            return plain(f"the event loop has not turned for more than {ALIVE:g} s", HTTPStatus.SERVICE_UNAVAILABLE)
        report = await self._service.run(self._readiness.report())
        excluded = request.query.getall("exclude", [])
        ready = report.ready(excluded)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        if "verbose" not in request.query:
            return plain("ok" if ready else "draining" if report.draining else "not ready", status)
        reasons = self._guard.authorized(request.headers.get("Authorization", ""))
        lines = _lines(report, excluded, reasons=reasons)
        return plain("\n".join([*lines, f"readyz check {'passed' if ready else 'failed'}"]), status)

    async def ping(self, _request: web.Request) -> web.Response:
        """The status for Bedrock AgentCore, which is also on the port of the WebSocket."""
        return web.Response(text=self._ping.answer(), content_type="application/json")

    async def metrics(self, request: web.Request) -> web.Response:
        """The exposition for Prometheus."""
        self._service.start(self._stored.wanted)
        body, content_type = self._exposition.text(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


def _lines(report: Report, excluded: list[str], *, reasons: bool) -> list[str]:
    lines = []
    for name, found in report.results.items():
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
        elif found.problem is None:
            lines.append(f"[+]{name} ok ({found.seconds * 1000:.1f} ms)")
        else:
            why = found.problem if reasons else "reason withheld without the token"
            lines.append(f"[-]{name} failed ({found.seconds * 1000:.1f} ms): {why}")
    lines += [f"[?]{name} is not a check" for name in excluded if name not in report.results]
    if report.draining:
        lines.append("[-]shutdown: the service is draining")
    return lines
