"""Opens the client's sockets, with the current token, headers and limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from ssl import SSLContext
from typing import Final

from picows import WSError, WSHandshakeError, ws_connect
from picows.url import WSParsedURL

from streamer.client.address import Address
from streamer.client.advice import on_refusal
from streamer.client.client_socket import ClientSocket
from streamer.client.connection_errors import ConnectionFailed
from streamer.client.tcp import connected_socket, words_of
from streamer.client.tokens import Tokens, token_problem

_PONG_TIMEOUT: Final = 20.0

logger = logging.getLogger("streamer.client")


class Dialer:
    """Opens one socket after the other.

    Args:
        address: the address to connect to.
        tokens: returns a token for each try.
        headers: additional headers of the handshake.
        ssl: None trusts the system's certificates for `wss://`.
        open_timeout: seconds for TCP and TLS, and the same again for the handshake.
        ping_interval: seconds without a message before a ping; None sends none.
        max_message_size: maximum bytes of one frame.
    """

    def __init__(
        self,
        address: Address,
        tokens: Tokens,
        *,
        headers: Mapping[str, str],
        ssl: SSLContext | None,
        open_timeout: float,
        ping_interval: float | None,
        max_message_size: int,
    ) -> None:
        self._address = address
        self._tokens = tokens
        self._headers = headers
        self._ssl = ssl
        self._open_timeout = open_timeout
        self._ping_interval = ping_interval
        self._max_message_size = max_message_size
        self.token: str | None = None
        """The token of the newest try."""

    async def open(self, make: Callable[[], ClientSocket]) -> ClientSocket:
        """Tries once.

        Raises:
            ConnectionFailed: on every failure.
        """
        token = self.token = await self._fresh_token()
        return await open_socket(
            make,
            self._address.url,
            shown=self._address.shown,
            headers=self._headers if token is None else {**self._headers, "Authorization": f"Bearer {token}"},
            ssl=self._ssl,
            open_timeout=self._open_timeout,
            ping_interval=self._ping_interval,
            max_message_size=self._max_message_size,
            advice=lambda status: on_refusal(status, token=token is not None, renewable=self._tokens.renewable),
        )

    async def _fresh_token(self) -> str | None:
        try:
            return await self._tokens.fresh()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            words = token_problem(error)
            logger.warning("%s", words)
            raise ConnectionFailed(self._address.shown, words) from error


async def open_socket(
    make: Callable[[], ClientSocket],
    url: str,
    *,
    shown: str,
    headers: Mapping[str, str] | None,
    ssl: SSLContext | None,
    open_timeout: float,
    ping_interval: float | None,
    max_message_size: int,
    advice: Callable[[int], str],
) -> ClientSocket:
    """Connects.

    Args:
        make: creates the listener, once the server has agreed.
        url: `ws://` or `wss://`, with its query.
        shown: the same for messages, without secrets.
        headers: additional headers of the handshake.
        ssl: None trusts the system's certificates for `wss://`.
        open_timeout: seconds for TCP and TLS, and the same again for the handshake.
        ping_interval: seconds without a message before a ping; None sends none.
        max_message_size: maximum bytes of one frame.
        advice: returns what to do when the server refuses with a status.

    Raises:
        ConnectionFailed: on every failure.
    """
    dialled: list[socket.socket] = []

    async def dial(where: WSParsedURL) -> socket.socket:
        dialled.append(await connected_socket(where.host, where.port))
        return dialled[0]

    try:
        # picows' own timeout covers the handshake and cleans up after it; this one covers everything before.
        async with asyncio.timeout(2 * open_timeout):
            _, socket = await ws_connect(
                make,
                url,
                ssl_context=ssl,
                websocket_handshake_timeout=open_timeout,
                enable_auto_ping=ping_interval is not None,
                auto_ping_idle_timeout=ping_interval or 0,
                auto_ping_reply_timeout=min(ping_interval or 0, _PONG_TIMEOUT),
                max_frame_size=max_message_size,
                extra_headers=headers,
                socket_factory=dial,
                max_redirects=0,  # A redirect would send the client's secrets to another host.
                logger_name=logger,
            )
    except asyncio.CancelledError:
        _hang_up(dialled)
        raise
    except WSHandshakeError as error:
        raise _refused(shown, error, advice) from error
    except (WSError, ValueError) as error:
        raise ConnectionFailed(shown, f"{error}") from error
    except TimeoutError as error:
        _hang_up(dialled)
        raise ConnectionFailed(shown, f"no answer within {open_timeout:g} s") from error
    except OSError as error:
        raise ConnectionFailed(shown, words_of(error, shown)) from error
    if not isinstance(socket, ClientSocket):
        # picows returns None when the peer disconnects during the handshake.
        raise ConnectionFailed(shown, f"the server closed the connection during the handshake; {_is_it(shown)}")
    return socket


def _is_it(shown: str) -> str:
    """A guess which other server may listen there."""
    tls = "" if shown.startswith("wss:") else " If it uses TLS, its address starts with wss://"
    return f"is it a WebSocket server?{tls}"


def _hang_up(sockets: Iterable[socket.socket]) -> None:
    # picows finishes a handshake that was abandoned. The service would see a client that reads nothing.
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _refused(shown: str, error: WSHandshakeError, advice: Callable[[int], str]) -> ConnectionFailed:
    response = error.response
    if response is None or response.status == 101:  # noqa: PLR2004 - Switching Protocols
        return ConnectionFailed(shown, f"{error} ({_is_it(shown)})")
    status = response.status
    reason = f"the server refused with {status.value} {status.phrase}"
    words = (error.raw_body or b"")[:200].decode(errors="replace").strip()
    if "Location" in response.headers:
        words = f"it redirects to {response.headers['Location']}; use that address if you trust it"
    text = f"{reason}: {words}" if words else reason
    return ConnectionFailed(shown, text, status=status.value, advice=advice(status.value))
