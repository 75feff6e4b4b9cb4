"""How the client opens a link: with a token for now, its headers and its limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from ssl import SSLContext

from streamer.client.address import Address
from streamer.client.advice import on_refusal
from streamer.client.errors import ConnectionFailed
from streamer.client.link import Link, open_link
from streamer.client.tokens import Tokens, token_problem

logger = logging.getLogger("streamer.client")


class Dialer:
    """Opens one link after the other.

    Args:
        address: where.
        tokens: bring a token for each try.
        headers: more headers for the upgrade.
        ssl: None takes the system's trust for `wss://`.
        open_timeout: seconds for TCP and TLS, and as many again for the upgrade.
        ping_interval: seconds of silence before a ping; None sends none.
        max_message_size: bytes of one frame.
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
        """The one of the newest try."""

    async def open(self, make: Callable[[], Link]) -> Link:
        """Tries once.

        Raises:
            ConnectionFailed: for every reason there is.
        """
        token = self.token = await self._fresh_token()
        return await open_link(
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
