"""The proof of who asks: brought to each handshake, and renewed on a connection before it runs out."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import StreamerError

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or what brings a fresh one: a plain function or a coroutine function."""

RENEW_AFTER: Final = 0.8
"""Of the time that a token has left when it is used: then a fresh one is asked for."""
LEAST_WAIT: Final = 1.0
"""Seconds between two renewals at least, whatever the tokens say."""
CLOCKS_DIFFER: Final = 60.0
"""Seconds to a renewal when a token that the service has just taken ran out long ago by this clock."""

logger = logging.getLogger("streamer.client")


class UnusableToken(StreamerError, ValueError):
    """What is given for a token cannot be one."""


class Tokens:
    """Where tokens come from.

    Args:
        source: a token, or what brings one; None where the service asks for none.
        limit: seconds that bringing one may take.
    """

    def __init__(self, source: Token | None, limit: float) -> None:
        if source is not None and not isinstance(source, str) and not callable(source):
            raise TypeError(f"token must be a string or a function that returns one; it is {type(source).__name__}")
        self._source = usable(source) if isinstance(source, str) else source
        self._limit = limit

    @property
    def renewable(self) -> bool:
        """Whether a fresh one can be asked for."""
        return callable(self._source)

    def keep(self, token: str) -> None:
        """The service has taken this one: from now on it is the one, unless a function brings them."""
        if not self.renewable:
            self._source = token

    async def fresh(self) -> str | None:
        """A token for now; what brings them may raise what it likes.

        Raises:
            UnusableToken: it is not a string, holds what no header can carry, or did not come in time.
        """
        if self._source is None or isinstance(self._source, str):
            return self._source
        brought = self._source()
        return usable(await self._in_time(brought) if inspect.isawaitable(brought) else brought)

    async def _in_time(self, brought: Awaitable[Any]) -> Any:
        # A task of its own: one that swallows its cancellation must not hold up the client either.
        task = asyncio.ensure_future(brought)
        try:
            await asyncio.wait([task], timeout=self._limit)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_ignore)
        if not task.done():
            raise UnusableToken(f"the token function did not return within {self._limit:g} s")
        return task.result()


class Renewal:
    """Proves anew on the standing connection, before the service ends it.

    Args:
        tokens: bring fresh ones.
        prove: tells the service, and returns its answer. Raises StreamerError.
        clock: time.
    """

    def __init__(self, tokens: Tokens, prove: Callable[[str], Awaitable[Any]], clock: Clock) -> None:
        self._tokens = tokens
        self._prove = prove
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self, expires_at: float | None) -> None:
        """The connection stands, with a token that runs out then (seconds since 1970), or never as far as is known."""
        self.stop()
        if expires_at is not None and self._tokens.renewable:
            self._task = asyncio.create_task(self._run(expires_at))

    def stop(self) -> None:
        """The connection has ended."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _run(self, expires_at: float) -> None:
        while True:
            left = expires_at - self._clock.now()
            await self._clock.sleep(max(left * RENEW_AFTER, LEAST_WAIT) if left > 0 else CLOCKS_DIFFER)
            try:
                fresh = await self._tokens.fresh()
                assert fresh is not None, "what is renewable brings tokens"
                told = told_expiry(await self._prove(fresh), fresh)
            except Exception as error:  # noqa: BLE001 - the token function may raise what it likes
                if expires_at <= self._clock.now():
                    # The service closes with 3500; the next handshake asks for a token of its own.
                    logger.error("The token was not renewed in time: %s", _words(error))
                    return
                logger.warning("The token was not renewed, which is tried again before it runs out: %s", _words(error))
            else:
                if told is None:
                    return
                expires_at = told


def usable(token: object) -> str:
    """The token as a header carries it: files that hold one end with a line break, which is none of it.

    Raises:
        UnusableToken: it is not a string, or holds what no header can carry. The message does not show it.
    """
    if not isinstance(token, str):
        raise UnusableToken(f"a token must be a string; the token function returned {type(token).__name__}")
    token = token.strip()
    if not token:
        raise UnusableToken("the token is empty")
    for place, character in enumerate(token):
        if not "!" <= character <= "~":
            raise UnusableToken(f"the token holds U+{ord(character):04X} at position {place}, which no header carries")
    return token


def told_expiry(told: Any, token: str) -> float | None:
    """When a renewed token runs out, in seconds since 1970: as the service tells, or else as the token says.

    Args:
        told: the answer to `streamer.authenticate`.
        token: that it was given.
    """
    if not isinstance(told, dict) or "expires_at" not in told:
        return expiry(token)
    try:
        return None if told["expires_at"] is None else datetime.fromisoformat(told["expires_at"]).timestamp()
    except (TypeError, ValueError):
        return expiry(token)


def expiry(token: str) -> float | None:
    """When a JSON Web Token says that it runs out, in seconds since 1970; None when it does not, or is none.

    It is not checked: whether it is right is the service's business.
    """
    parts = token.split(".")
    try:
        body = parts[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        expires_at = float(claims["exp"]) if isinstance(claims["exp"], int | float) else math.nan
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return expires_at if math.isfinite(expires_at) else None


def token_problem(error: BaseException) -> str:
    """What to say of a token function that brought no token."""
    if isinstance(error, UnusableToken):
        return str(error)
    return f"the token function failed: {_words(error)}"


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, StreamerError) else f"{type(error).__name__}: {error}"


def _ignore(task: asyncio.Future[Any]) -> None:
    """Takes the exception of a token function that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
