"""The client: many requests at once over one connection."""

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
from streamer.client.tokens import Renewal, Token, Tokens, expiry, told_expiry, usable
from streamer.core.clock import Clock, SystemClock
from streamer.core.ids import new_id


class StreamerClient(Requests):
    """A client of one service, over one WebSocket connection. Use it with `async with`, from one event loop.

    `async with` and `connect` try once to open the connection. Without them the first request opens it, and goes on
    trying while the service is down.

    A connection that breaks is opened again, until `close`: the first try is made at once, further ones after a
    random delay that may grow to `max_reconnect_delay`. Waiting for a request outlives the break. What the service has
    acknowledged is resumed; what it has not, or has refused because it is going down, is sent again, with the same
    id. The service takes a queued request for the same one, but a direct one that it was just running may run again:
    where that does harm, say `resend=False`. A request for which connection after connection ends is given up with
    NotAnswered after three of them (five where the service's process outlived them), and one whose message is too
    large for either side with MessageTooLarge; the other requests go on. All waiting ends with ConnectionLost when
    the close code says that connecting again is no use (`ConnectionLost.reconnect`), and with ConnectionFailed when
    the service refuses with 400, 401, 403 or 404.

    With a function for `token`, a fresh one is asked for before each handshake, once more where the service refuses it,
    and some time before it runs out: then the connection is kept by `streamer.authenticate`. When that is, the
    service's last answer tells, or at first the token, where it is a JSON Web Token. A connection that is closed all
    the same because the token ran out (3500) is opened again with a fresh one, until one is of no use.

    Args:
        url: `ws://` or `wss://`, with the service's path (`ws://127.0.0.1:8080/ws`).
        client_id: a secret that makes the requests this client's own, over all its connections: keep it and give it
            again to ask for them later. Left out: a new one is made; `client_id` tells it.
        token: who asks, for a service that wants it proved: a token, or a plain or coroutine function that brings
            one. It is sent as `Authorization: Bearer`. A function that fails, brings no token, or does not come back
            within `open_timeout` makes the try fail, and is asked again at the next one. A plain function must not
            block the loop.
        headers: more headers for the upgrade.
        ssl: for `wss://`; None trusts what the system trusts.
        open_timeout: seconds for TCP and TLS, and as many again for the upgrade.
        ping_interval: seconds of silence before the connection is tested by a ping, which must be answered within
            as many seconds, at most 20; None never tests.
        max_message_size: bytes of one message that the client will take.
        reconnect: whether a connection that breaks is opened again; False ends all waiting with ConnectionLost.
        max_reconnect_delay: seconds between two tries at most.
        resend: whether a request that nothing has been heard of is sent again after a break; False ends its waiting
            with ConnectionLost.
        on_reconnect: a plain function, called on the loop each time the connection is open again.
        on_state_change: a plain function, called on the loop with a `ConnectionState` each time that changes: which
            try is next and when, why the last one failed, and whether the connection is open.
        clock: where time comes from.
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
        """The secret that makes this client's requests its own."""
        return self._address.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection.socket is not None

    async def connect(self) -> None:
        """Tries once to open the connection, also after `close`; `async with` does it. Does nothing while it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused.
            RuntimeError: the client belongs to another event loop, which it has not been closed in.
        """
        await self._connection.connect()

    async def close(self) -> None:
        """Ends the connection. Requests that still wait raise ConnectionLost; those that are queued go on."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def authenticate(self, token: str | None = None) -> Any:
        """Proves anew who asks, on the standing connection: an object with `user_id`, `tenant_id` and `expires_at`.

        Args:
            token: left out, the client's own `token` is asked. One that the service takes is also what further
                connections begin with, unless a function brings theirs.

        Raises:
            Unauthorized: the token proves nothing.
            Forbidden: it proves somebody else than the connection began with.
            ConnectionLost: the connection broke before the answer.
            ValueError: there is no token, or none that could be one.
        """
        if token is None and (token := await self._tokens.fresh()) is None:
            raise ValueError("there is no token: give one here, or to the client")
        token = usable(token)
        told = await self._prove(token)
        self._tokens.keep(token)
        self._renewal.begin(told_expiry(told, token))
        return told

    async def _prove(self, token: str) -> Any:
        # Never sent again: another connection begins with a token of its own.
        return await self.request("streamer.authenticate", {"token": token}, resend=False)

    def _opened(self) -> None:
        if self._dialer.token is not None:
            self._renewal.begin(expiry(self._dialer.token))
