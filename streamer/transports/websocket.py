"""The embedded WebSocket server."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, Final

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from streamer.config.settings import ServerSettings
from streamer.contracts.connections import FrameReceiver, PeerRegistry
from streamer.core.clock import Clock
from streamer.core.errors import StartError
from streamer.transports.handshake import Answered, decide
from streamer.transports.heartbeat import Heartbeat
from streamer.transports.peer import CLOSE_GRACE, Shared, WebSocketPeer

SHUTDOWN: Final = 3001
READ_BUFFER: Final = 2048
"""Bytes that an idle connection's read buffer takes; it grows with the messages that come."""
BACKLOG: Final = 4096

# The library makes a logger per connection out of a plain one, and speaks of every broken client: neither is wanted.
_QUIET: Final = logging.LoggerAdapter(logging.getLogger("picows.streamer"), {})
_QUIET.setLevel(logging.CRITICAL + 1)


class WebSocketTransport:
    """Accepts WebSockets on one port and hands their messages to a receiver.

    Args:
        settings: the `server` section.
        receiver: gets every whole text message.
        registry: hears of every connection.
        clock: time.
        logger: for what concerns the transport.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        receiver: FrameReceiver,
        registry: PeerRegistry,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._registry = registry
        self._clock = clock
        self._logger = logger
        self._draining = False
        self._server: asyncio.Server | None = None
        self._shared: Shared | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self.port = settings.port

    async def start(self) -> None:
        """Listens.

        Raises:
            StartError: the port is taken, the host unknown, or the certificate unusable.
        """
        settings = self._settings
        self._shared = Shared(
            receiver=self._receiver,
            registry=self._registry,
            loop=asyncio.get_running_loop(),
            logger=self._logger,
            max_message_size=settings.max_message_size,
            max_buffered=settings.max_buffered,
        )
        context = self._tls()
        try:
            self._server = await ws_create_server(
                self._accept,
                settings.host,
                settings.port,
                ssl=context,
                backlog=BACKLOG,
                logger_name=_QUIET,
                websocket_handshake_timeout=settings.handshake_timeout,
                enable_auto_ping=False,
                enable_auto_pong=False,
                max_frame_size=settings.max_message_size,
                read_buffer_init_size=READ_BUFFER,
                use_aiofastnet=False,
            )
        except (OSError, OverflowError) as problem:
            raise StartError(_cannot_listen(settings, problem)) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._heartbeat = asyncio.create_task(Heartbeat(settings, self._shared.peers, self._clock).run())

    def begin_drain(self) -> None:
        """Refuses new connections with 503; those that are open go on."""
        self._draining = True

    async def close(self, code: int = SHUTDOWN, reason: str = "the service is shutting down; connect again") -> None:
        """Closes every connection, and the port."""
        if self._server is None or self._shared is None:
            return
        self._draining = True
        self._server.close()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for peer in list(self._shared.peers):
            peer.close(code, reason)
        waited = 0.0
        while self._shared.peers and waited < 2 * CLOSE_GRACE:
            await self._clock.sleep(0.01)
            waited += 0.01
        for peer in list(self._shared.peers):
            peer.cut()

    def _accept(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener | WebSocketPeer:
        assert self._shared is not None
        decision = decide(
            request.path.decode("latin-1"),
            request.headers,
            self._settings,
            open_connections=len(self._shared.peers),
            draining=self._draining,
        )
        if isinstance(decision, Answered):
            return WSUpgradeResponseWithListener(_http_response(decision), None)
        return WebSocketPeer(self._shared, decision.client_id)

    def _tls(self) -> ssl.SSLContext | None:
        tls = self._settings.tls
        if tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(tls.cert, tls.key)
        except (OSError, ssl.SSLError) as problem:
            raise StartError(f"server.tls: {tls.cert} with {tls.key} cannot be used: {problem}") from None
        return context


def _http_response(answer: Answered) -> WSUpgradeResponse:
    response: WSUpgradeResponse = WSUpgradeResponse.create_ok_response(
        answer.body.encode(), [*answer.headers, ("Cache-Control", "no-store")]
    )
    response.status = answer.status
    return response


def _cannot_listen(settings: ServerSettings, problem: Exception) -> str:
    place = f"port {settings.port} on {settings.host}"
    if isinstance(problem, OSError) and "address already in use" in str(problem).lower():
        return f"{place} is taken: stop the program that has it, or set another server.port"
    return f"{place} cannot be listened on: {problem}"
