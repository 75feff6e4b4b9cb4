"""The proof of who asks: brought to each handshake, and renewed on a connection before it runs out."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import StreamerError

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or what brings a fresh one: a plain function or a coroutine function."""

RENEW_AFTER: Final = 0.8
"""Of the time that a token has left when it is used: then a fresh one is asked for."""
LEAST_WAIT: Final = 1.0
"""Seconds between two renewals at least, whatever the tokens say."""

logger = logging.getLogger("streamer.client")


class Tokens:
    """Where tokens come from.

    Args:
        source: a token, or what brings one; None where the service asks for none.
    """

    def __init__(self, source: Token | None) -> None:
        if source is not None and not isinstance(source, str) and not callable(source):
            raise TypeError(f"token must be a string or a function that returns one; it is {type(source).__name__}")
        self._source = source

    @property
    def renewable(self) -> bool:
        """Whether a fresh one can be asked for."""
        return callable(self._source)

    async def fresh(self) -> str | None:
        """A token for now.

        Raises:
            TypeError: what brings them brought something else.
        """
        if self._source is None or isinstance(self._source, str):
            return self._source
        brought = self._source()
        token = await brought if inspect.isawaitable(brought) else brought
        if not isinstance(token, str):
            raise TypeError(f"the token function must return a string; it returned {type(token).__name__}")
        return token


class Renewal:
    """Proves anew on the standing connection, before the service ends it.

    Args:
        tokens: bring fresh ones.
        prove: tells the service. Raises StreamerError.
        clock: time.
    """

    def __init__(self, tokens: Tokens, prove: Callable[[str], Awaitable[Any]], clock: Clock) -> None:
        self._tokens = tokens
        self._prove = prove
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self, token: str | None) -> None:
        """The connection stands, opened or renewed with this token."""
        self.stop()
        if token is not None and self._tokens.renewable and expiry(token) is not None:
            self._task = asyncio.create_task(self._run(token))

    def stop(self) -> None:
        """The connection has ended."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    async def _run(self, token: str) -> None:
        while (expires_at := expiry(token)) is not None:
            left = expires_at - self._clock.now()
            await self._clock.sleep(max(left * RENEW_AFTER, LEAST_WAIT))
            try:
                fresh = await self._tokens.fresh()
                assert fresh is not None, "what is renewable brings tokens"
                await self._prove(fresh)
            except StreamerError as error:
                # The service closes with 3500 when the time comes; the next handshake asks for a token of its own.
                logger.warning("The token was not renewed: %s", error)
                return
            except Exception:
                logger.exception("The token function failed; the connection stands until its token runs out")
                return
            token = fresh


def expiry(token: str) -> float | None:
    """When a JSON Web Token says that it runs out, in seconds since 1970; None when it does not, or is none.

    It is not checked: whether it is right is the service's business.
    """
    parts = token.split(".")
    try:
        body = parts[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        expires_at = claims["exp"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return float(expires_at) if isinstance(expires_at, int | float) else None
