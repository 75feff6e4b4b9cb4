"""Listens, accepts, and guides every socket through its handshake."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

from picows import WSUpgradeRequest, WSUpgradeResponseWithListener
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]  # it is only in the binary

from streamer.config.settings import ServerSettings
from streamer.core.networks import Address, address_block, parse_address
from streamer.transports.answers import Answered
from streamer.transports.callers import Callers
from streamer.transports.connection_setup import Opening, Upgrade
from streamer.transports.handshake_pool import HandshakePool, PendingHandshake
from streamer.transports.http_request import HttpRequest

BACKLOG: Final = 4096
BATCH: Final = 64
"""Maximum sockets accepted in one iteration of the loop, so that a flood of them does not block other work."""
PAUSE: Final = 1.0
"""Pause in seconds when the system has no more descriptors for accepting, and none here can be freed."""
READ_BUFFER: Final = 2048
"""Bytes of an idle connection's read buffer, the minimum of the library; it grows with the messages."""
RECEIVE_BUFFER: Final = 128 * 1024
"""Bytes of a connection that the kernel buffers until they are read. Otherwise this could grow to many MiB for a fast
client; everything is read at once, into a buffer that the library keeps as long as the connection.
"""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accept = Callable[[Address, HttpRequest], Answered | Upgrade]
"""Decides on a request, with the client's address."""


class Acceptor:
    """Accepts sockets and passes their requests to `accept`.

    The library's own server shows a socket only once its request has arrived, and with TLS only after the TLS
    handshake. So an address could hold as many idle sockets as the system has descriptors. Here each socket is known
    from its first moment, has one time limit for its whole handshake, and occupies a place in a pool of limited size.

    Args:
        settings: the `server` section.
        accept: decides on requests.
        callers: knows the trusted proxies.
        context: for TLS; None without it.
        shutdown_timeout: time limit of the TLS shutdown, in seconds.
        logger: of the library.
        own_logger: for operators.
    """

    def __init__(
        self,
        settings: ServerSettings,
        accept: Accept,
        *,
        callers: Callers,
        context: ssl.SSLContext | None,
        shutdown_timeout: float,
        logger: Any,
        own_logger: Any,
    ) -> None:
        self.waiting = HandshakePool(settings.max_handshakes, settings.max_handshakes_per_address)
        self._settings = settings
        self._accept = accept
        self._callers = callers
        self._logger = logger
        self._own_logger = own_logger
        self._loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        self._paused: asyncio.TimerHandle | None = None
        self._secure: dict[str, Any] = {}
        if context is not None:
            self._secure = {
                "ssl": context,
                "ssl_handshake_timeout": settings.handshake_timeout,
                "ssl_shutdown_timeout": shutdown_timeout,
            }

    async def start(self) -> int:
        """Listens. Returns the port.

        Raises:
            OSError: it cannot.
        """
        host, port = self._settings.host, self._settings.port
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                self._listening.append(_listener(family, kind, protocol, address))
        except OSError:
            self.close()
            raise
        self._watch()
        return int(self._listening[0].getsockname()[1])

    def close(self) -> None:
        """Stops listening, and closes all unfinished handshakes."""
        self._unwatch()
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        self.waiting.empty()

    def _watch(self) -> None:
        self._paused = None
        for listening in self._listening:
            self._loop.add_reader(listening.fileno(), self._take, listening)

    def _unwatch(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
            return
        for listening in self._listening:
            self._loop.remove_reader(listening.fileno())

    def _take(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                accepted, name = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                if problem.errno not in _EXHAUSTED:
                    raise
                self._exhausted(problem)
                return
            self._begin(accepted, name)

    def _exhausted(self, problem: OSError) -> None:
        # A waiting handshake is closed to make room; its descriptor is free in the loop's next iteration.
        if self.waiting.push_out_oldest():
            return
        self._own_logger.error("no more connections can be accepted right now", error=str(problem))
        self._unwatch()
        self._paused = self._loop.call_later(PAUSE, self._watch)

    def _begin(self, accepted: socket.socket, name: Any) -> None:
        accepted.setblocking(False)  # noqa: FBT003 - the standard library's shape
        address = parse_address(name[0])
        assert address is not None, "the system knows the other end of what it accepts"
        counted = None if self._callers.trusts(address) else address_block(address)
        task = self._loop.create_task(self._handshake(accepted, address), name="handshake")
        visitor = PendingHandshake(counted, task.cancel)
        task.add_done_callback(functools.partial(self._left, visitor, accepted))
        self.waiting.enter(visitor)

    def _left(self, visitor: PendingHandshake, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self.waiting.discard(visitor)
        if task.cancelled():
            # Possibly before its first step, and then nothing else has closed it.
            accepted.close()

    async def _handshake(self, accepted: socket.socket, address: Address) -> None:
        """Returns when the connection is open, or has ended."""
        opening = Opening(functools.partial(self._accept, address), self._protocol, self._loop, self._own_logger)
        transport: Any = None
        with contextlib.suppress(OSError):
            try:
                async with asyncio.timeout(self._settings.handshake_timeout):
                    transport, _ = await self._loop.connect_accepted_socket(lambda: opening, accepted, **self._secure)
                    await opening.finished
            except BaseException:
                if transport is None:
                    accepted.close()
                else:
                    transport.abort()
                raise

    def _protocol(self, listener: Callable[[WSUpgradeRequest], WSUpgradeResponseWithListener]) -> WSProtocol:
        return WSProtocol(
            None,  # host and path are a client's
            None,
            False,  # noqa: FBT003 - not the client's side
            listener,
            self._logger,
            True,  # noqa: FBT003 - a listener that raises ends its connection
            None,  # The time limit of the whole handshake is enforced here.
            False,  # noqa: FBT003 - pings of its own
            0,
            0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # noqa: FBT003 - pongs of its own
            self._settings.max_message_size,
            None,  # headers of a client
            READ_BUFFER,
        )


def _listener(family: int, kind: int, protocol: int, address: Sequence[Any]) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Otherwise :: would also occupy IPv4's port, and 0.0.0.0 could not be used in addition.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Before it listens, because accepted sockets inherit it.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        made.bind(tuple(address))
        made.listen(BACKLOG)
        made.setblocking(False)  # noqa: FBT003 - the standard library's shape
    except OSError:
        made.close()
        raise
    return made
