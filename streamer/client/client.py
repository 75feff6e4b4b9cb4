"""The client: many concurrent requests over one connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any, Self

from streamer.client.address import address, checked_headers
from streamer.client.connection import Connection
from streamer.client.dialer import Dialer
from streamer.client.machine import Options
from streamer.client.options import checked_seconds, checked_size
from streamer.client.requests import Requests
from streamer.client.state import ConnectionState
from streamer.client.tokens import Renewal, Token, Tokens, answered_expiry, expiry, usable
from streamer.core.clock import Clock, SystemClock
from streamer.core.ids import new_id


class StreamerClient(Requests):
    """A client of one service, over one WebSocket connection. Use it with `async with`, from one event loop.

    `async with` and `connect` try once to open the connection. Without them the first request opens it, and keeps
    trying while the service is down.

    A connection that breaks is opened again, until `close`: the first try starts at once, further ones after a random
    delay of up to `max_reconnect_delay`. Waiting requests survive the break. Requests that the service has acknowledged
    are resumed. Others, and requests that the service refused because it is shutting down, are sent again with the same
    id. The service recognises a queued request that is sent again, but a direct one that was running may run again; if
    that does harm, pass `resend=False`. If connection after connection ends while a request is unanswered, the request
    fails with NotAnswered after three of them (five if the service's process kept running). A request whose message is
    too large for either side fails with MessageTooLarge. The other requests continue. All requests fail with
    ConnectionLost when the close code says that connecting again does not help (`ConnectionLost.reconnect`), and with
    ConnectionFailed when the service refuses with 400, 401, 403 or 404.

    If `token` is a function, it is called for a fresh token before each handshake, once more when the service refuses
    the token, and some time before the token expires: then the connection is kept open with `streamer.authenticate`.
    The time of expiry is taken from the service's last answer, or at first from the token if it is a JSON Web Token. A
    connection that is closed because its token expired (3500) is opened again with a fresh one, until a fresh token
    does not help.

    Args:
        url: `ws://` or `wss://`, with the service's path (`ws://127.0.0.1:8080/ws`).
        client_id: a secret that identifies the owner of this client's requests, over all its connections. Store it and
            pass it again to query the requests later. Default: a new one, available as `client_id`.
        token: for a service with authentication: a token, or a plain or coroutine function that returns one. It is sent
            as `Authorization: Bearer`. If the function fails, returns no token, or does not return within
            `open_timeout`, the try fails, and the function is called again at the next one. A plain function must not
            block the loop.
        headers: additional headers of the handshake.
        ssl: for `wss://`; None trusts the system's certificates.
        open_timeout: seconds for TCP and TLS, and the same again for the handshake.
        ping_interval: seconds without a message before the connection is tested by a ping, which must be answered
            within the same time, at most 20 seconds; None disables pings.
        max_message_size: maximum bytes of a message that the client accepts.
        reconnect: whether a connection that breaks is opened again. If False, all requests fail with ConnectionLost.
        max_reconnect_delay: maximum seconds between two tries.
        resend: whether a request without any answer is sent again after a break. If False, it fails with
            ConnectionLost.
        on_reconnect: a plain function, called on the loop each time the connection is open again.
        on_state_change: a plain function, called on the loop with a `ConnectionState` on every change: the next try and
            its time, why the last one failed, and whether the connection is open.
        clock: the source of time.
    """

    def __init__(
        self,
        url: str,
        client_id: str | None = None,
        *,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | None = None,
        open_timeout: float = 10.0,
        ping_interval: float | None = 30.0,
        max_message_size: int = 16 * 1024 * 1024,
        reconnect: bool = True,
        max_reconnect_delay: float = 30.0,
        resend: bool = True,
        on_reconnect: Callable[[], Any] | None = None,
        on_state_change: Callable[[ConnectionState], Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._address = address(url, client_id)
        checked = checked_headers(headers or {})
        clock = clock or SystemClock()
        seconds = checked_seconds("open_timeout", open_timeout)
        size = checked_size("max_message_size", max_message_size)
        longest = checked_seconds("max_reconnect_delay", max_reconnect_delay)
        self._tokens = Tokens(token, seconds)
        self._renewal = Renewal(self._tokens, self._prove, clock)
        self._dialer = Dialer(
            self._address,
            self._tokens,
            headers=checked,
            ssl=ssl,
            open_timeout=seconds,
            ping_interval=None if ping_interval is None else checked_seconds("ping_interval", ping_interval),
            max_message_size=size,
        )
        options = Options(
            reconnect=reconnect, renewable=self._tokens.renewable, longest=longest * 1000, name=new_id("req_")
        )
        connection = Connection(
            self.url,
            self._dialer.open,
            options,
            max_message_size=size,
            on_open=self._opened,
            on_end=self._renewal.stop,
            on_reconnect=on_reconnect,
            on_state_change=on_state_change,
            clock=clock,
        )
        super().__init__(connection, resend=resend)

    def __repr__(self) -> str:
        return f"<StreamerClient {self.url}, {'open' if self.connected else 'closed'}>"

    @property
    def url(self) -> str:
        """The service's address, without its query."""
        return self._address.shown

    @property
    def client_id(self) -> str:
        """The secret that identifies the owner of this client's requests."""
        return self._address.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection.socket is not None

    async def connect(self) -> None:
        """Tries once to open the connection, also after `close`; `async with` does this too. Does nothing while it is
        open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused the connection.
            RuntimeError: the client is still in use on another event loop.
        """
        await self._connection.connect()

    async def close(self) -> None:
        """Closes the connection. Waiting requests raise ConnectionLost; queued requests continue in the service."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def authenticate(self, token: str | None = None) -> Any:
        """Renews the authentication of the open connection. Returns an object with `user_id`, `tenant_id` and
        `expires_at`.

        Args:
            token: Default: the client's own `token`. If the service accepts it, further connections start with it too,
                unless a function returns their tokens.

        Raises:
            Unauthorized: the token is invalid.
            Forbidden: it belongs to another principal than the connection's.
            ConnectionLost: the connection broke before the answer.
            ValueError: there is no token, or it is malformed.
        """
        if token is None and (token := await self._tokens.fresh()) is None:
            raise ValueError("there is no token: pass one here, or to the client")
        token = usable(token)
        answer = await self._prove(token)
        self._tokens.keep(token)
        self._renewal.begin(answered_expiry(answer, token))
        return answer

    async def _prove(self, token: str) -> Any:
        # Never sent again: another connection starts with its own token.
        return await self.request("streamer.authenticate", {"token": token}, resend=False)

    def _opened(self) -> None:
        if self._dialer.token is not None:
            self._renewal.begin(expiry(self._dialer.token))
