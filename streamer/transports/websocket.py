"""The embedded WebSocket server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import Any, Final, NamedTuple

from picows import WSUpgradeResponse

from streamer.config.settings import ServerSettings
from streamer.contracts.auth import Authenticator
from streamer.contracts.connections import FrameReceiver, PeerRegistry
from streamer.core.buckets import Buckets
from streamer.core.clock import Clock
from streamer.core.health import Health
from streamer.core.ids import PROCESS_HEADER
from streamer.core.networks import Address, address_block
from streamer.core.owners import OwnerNames, new_key
from streamer.core.ping_status import PingStatus
from streamer.core.principal import Principal
from streamer.transports import client_files
from streamer.transports.acceptor import Acceptor
from streamer.transports.admission import Admission
from streamer.transports.answers import Answered
from streamer.transports.callers import Callers
from streamer.transports.close_codes import SHUTDOWN
from streamer.transports.connection_limits import ConnectionLimits
from streamer.transports.connection_setup import Upgrade
from streamer.transports.credentials import NO_TOKEN, SUBPROTOCOL, offered_subprotocols, token_of
from streamer.transports.expiry import Expiry, TokenDeadlines
from streamer.transports.handshake import decide
from streamer.transports.heartbeat import Heartbeat
from streamer.transports.http_request import HttpRequest
from streamer.transports.listen_errors import cannot_listen
from streamer.transports.peer import WebSocketPeer
from streamer.transports.pending_auth import PendingAuth, SilentResponse
from streamer.transports.sender import CLOSE_GRACE
from streamer.transports.shared import Shared
from streamer.transports.tls import server_context

MARGIN: Final = 1.0
"""Seconds, in addition to the connections' own grace period, after which `close` returns."""

# The library logs every connection and every broken client; this package logs what matters. A logger that is not in the
# registry cannot be enabled by accident, and an adapter keeps the library from creating one for each connection.
_SILENT: Final = logging.Logger("picows.server", logging.CRITICAL + 1)  # noqa: LOG001 - it must not be registered
_QUIET: Final = logging.LoggerAdapter(_SILENT, {})


class PeerTypes(NamedTuple):
    """What connections are made of."""

    open: type[WebSocketPeer]
    pending: type[PendingAuth]
    """Those whose token takes a while to check."""


class WebSocketTransport:
    """Accepts WebSockets on one port and passes their messages to a receiver.

    Args:
        settings: the `server` section.
        receiver: gets every whole text message.
        registry: gets every connection.
        clock: time.
        logger: for the transport.
        authenticator: authenticates each handshake; None accepts everybody.
        deadlines: when the connections' authentication expires, if renewals change it. Default: a new one.
        health: decides the answer of `/healthz`. Default: always healthy.
        owners: makes owners from `client_id`s. Default: with a new key.
        peer_types: the classes of its connections. Default: the plain ones.
        ping: answers `/ping`. Default: there is no such path.

    Attributes:
        port: the port; before `start` the configured one, which may be 0.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        receiver: FrameReceiver,
        registry: PeerRegistry,
        clock: Clock,
        logger: Any,
        authenticator: Authenticator | None = None,
        deadlines: TokenDeadlines | None = None,
        health: Health | None = None,
        owners: OwnerNames | None = None,
        peer_types: PeerTypes | None = None,
        ping: PingStatus | None = None,
    ) -> None:
        self.port = settings.port
        self._ping = ping
        self._peer_types = peer_types or PeerTypes(WebSocketPeer, PendingAuth)
        self._settings = settings
        self._client_files = client_files.load() if settings.serve_client else client_files.NONE
        self._receiver = receiver
        self._registry = registry
        self._health = health or Health()
        self._owners = owners or OwnerNames(new_key())
        self._clock = clock
        self._logger = logger
        self._admission: Admission | None = None
        self._deadlines: TokenDeadlines | None = None
        self._expiring: asyncio.Task[None] | None = None
        self._held: set[PendingAuth] = set()
        if authenticator is not None:
            self._admission = Admission(authenticator, settings.handshake_timeout, logger)
            self._deadlines = deadlines or TokenDeadlines(leeway=authenticator.leeway, clock=clock)
            self._receiver = self._registry = Expiry(receiver, registry, self._deadlines, clock=clock)
        self._process = (PROCESS_HEADER, secrets.token_hex(8))
        self._refused = Buckets(settings.refused_limit, settings.refused_limit.limit)
        self._draining = False
        self._acceptor: Acceptor | None = None
        self._callers = Callers(settings.trusted_proxies, settings.forwarded_header)
        self._limits = ConnectionLimits(settings, clock)
        self._shared: Shared
        self._heartbeat: asyncio.Task[None]

    async def start(self) -> None:
        """Starts to listen.

        Raises:
            StartError: the port is in use, the host unknown, or the certificate unusable.
        """
        settings = self._settings
        context = None if settings.tls is None else server_context(settings.tls)
        self._shared = Shared(
            receiver=self._receiver,
            registry=self._registry,
            loop=asyncio.get_running_loop(),
            logger=self._logger,
            max_message_size=settings.max_message_size,
            max_buffered=settings.max_buffered,
            refuses=self._refuses,
            connection_limits=self._limits,
        )
        acceptor = Acceptor(
            settings,
            self._accept,
            callers=self._callers,
            context=context,
            # The TLS shutdown waits for the client's; a client that keeps sending would hold the connection.
            shutdown_timeout=CLOSE_GRACE,
            logger=_QUIET,
            own_logger=self._logger,
        )
        try:
            self.port = await acceptor.start()
        except OSError as problem:
            raise cannot_listen(settings.host, settings.port, problem) from None
        self._acceptor = acceptor
        self._heartbeat = asyncio.create_task(
            Heartbeat(settings, self._shared.peers, self._clock).run(), name="heartbeat"
        )
        if self._deadlines is not None:
            self._expiring = asyncio.create_task(self._deadlines.run(), name="expiry")

    async def failed(self) -> None:
        """Waits as long as the tasks that maintain the connections run.

        Raises:
            BaseException: the exception of such a task. Silent connections would stay forever after it.
        """
        watched = [task for task in (self._heartbeat, self._expiring) if task is not None]
        await asyncio.wait(watched, return_when=asyncio.FIRST_EXCEPTION)
        for task in watched:
            task.result()
        await asyncio.Event().wait()

    @property
    def open_connections(self) -> int:
        """How many connections are open, once it has started."""
        return len(self._shared.peers)

    def begin_drain(self) -> None:
        """Refuses new connections with 503; open connections continue."""
        self._draining = True

    async def close(self, code: int = SHUTDOWN, reason: str = "the service is shutting down; connect again") -> None:
        """Closes the port, and every connection with a close frame after the messages that are queued for it.

        Clients have `CLOSE_GRACE` seconds to read them and to answer; others are disconnected. When it returns, the
        registry and the receiver know that every connection has ended.
        """
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        self._draining = True
        acceptor.close()
        self._heartbeat.cancel()
        if self._expiring is not None:
            self._expiring.cancel()
        for held in list(self._held):
            held.give_up()
        shared = self._shared
        for peer in list(shared.peers):
            peer.close(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE + MARGIN):
                await shared.empty.wait()
        for lingering in list(shared.lingering):
            lingering.end()

    def _refuses(self, connection_id: str, count: int) -> float:
        # A single message is never too many.
        count = min(count, self._settings.refused_limit.limit)
        return self._refused.take(connection_id, self._clock.monotonic(), count)

    def _accept(self, address: Address, request: HttpRequest) -> Answered | Upgrade:
        shared = self._shared
        decision = decide(
            request,
            self._settings,
            # A lingering socket needs a descriptor too, and a client could create many.
            open_connections=len(shared.peers) + len(shared.lingering) + len(self._held),
            draining=self._draining,
            healthy=not self._health.problems,
            client_files=self._client_files,
            ping=self._ping,
        )
        if isinstance(decision, Answered):
            return decision
        block = self._address_block_of(address, request)
        if (refusal := self._limits.arrives(block)) is not None:
            return refusal
        offered = offered_subprotocols(request.headers.getall("Sec-WebSocket-Protocol", []))
        # Also chosen without authentication: a browser fails a handshake whose offer is not accepted.
        chosen = (("Sec-WebSocket-Protocol", SUBPROTOCOL),) if SUBPROTOCOL in offered else ()
        response = WSUpgradeResponse.create_101_response((*chosen, self._process))
        if self._admission is None:
            client_id = decision.client_id
            owner = None if client_id is None else self._owners.client(client_id)
            peer = self._peer_types.open(shared, owner)
            peer.address = self._owners.address(block)
            return self._let_in(peer, block, response)
        return self._admit(self._admission, request, offered, block, response)

    def _address_block_of(self, address: Address, request: HttpRequest) -> str:
        if self._callers.trusts(address):
            headers = request.headers.getall(self._settings.forwarded_header, [])
            address = self._callers.of(address, headers)
        return address_block(address)

    def _let_in(self, peer: WebSocketPeer, block: str, response: WSUpgradeResponse) -> Answered | Upgrade:
        peer.address_block = block
        if (refusal := self._limits.full(block, peer.owner)) is not None:
            return refusal
        return Upgrade(peer, response)

    def _admit(
        self,
        admission: Admission,
        request: HttpRequest,
        offered: list[str],
        block: str,
        response: WSUpgradeResponse,
    ) -> Answered | Upgrade:
        query = request.target.partition("?")[2]
        token = token_of(request.headers.getall("Authorization", []), offered, query)
        decided = admission.begin(token) if isinstance(token, str) else token or NO_TOKEN
        if isinstance(decided, Answered):
            return decided
        if isinstance(decided, Principal):
            return self._let_in(self._peer_types.open(self._shared, None, decided), block, response)
        pending = self._peer_types.pending(self._shared, decided, admission, self._held)
        return self._let_in(pending, block, SilentResponse(response))
