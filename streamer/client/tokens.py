"""The client's token: obtained for each handshake, and renewed on a connection before it expires."""

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
"""A token, or a plain or coroutine function that returns a fresh one."""

RENEW_AFTER: Final = 0.8
"""The part of a token's remaining lifetime after which a fresh one is requested."""
LEAST_WAIT: Final = 1.0
"""Minimum seconds between two renewals, whatever the tokens say."""
CLOCKS_DIFFER: Final = 60.0
"""Seconds until the renewal of an accepted token that has already expired by this machine's clock."""

logger = logging.getLogger("streamer.client")


class UnusableToken(StreamerError, ValueError):
    """The value cannot be used as a token."""


class Tokens:
    """The source of tokens.

    Args:
        source: a token, or a function that returns one; None without authentication.
        limit: seconds that the function may take.
    """

    def __init__(self, source: Token | None, limit: float) -> None:
        if source is not None and not isinstance(source, str) and not callable(source):
            raise TypeError(f"token must be a string or a function that returns one; it is {type(source).__name__}")
        self._source = usable(source) if isinstance(source, str) else source
        self._limit = limit

    @property
    def renewable(self) -> bool:
        """Whether a fresh token can be obtained."""
        return callable(self._source)

    def keep(self, token: str) -> None:
        """The service has accepted this token: it is used from now on, unless a function returns tokens."""
        if not self.renewable:
            self._source = token

    async def fresh(self) -> str | None:
        """The current token. The function may raise any exception.

        Raises:
            UnusableToken: it is not a string, contains characters that a header cannot contain, or took too long.
        """
        if self._source is None or isinstance(self._source, str):
            return self._source
        brought = self._source()
        return usable(await self._in_time(brought) if inspect.isawaitable(brought) else brought)

    async def _in_time(self, brought: Awaitable[Any]) -> Any:
        # A separate task: a function that suppresses its cancellation must not block the client.
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
    """Renews the authentication of an open connection, before the service closes it.

    Args:
        tokens: returns fresh ones.
        prove: sends the token to the service, and returns its answer. Raises StreamerError.
        clock: the source of time.
    """

    def __init__(self, tokens: Tokens, prove: Callable[[str], Awaitable[Any]], clock: Clock) -> None:
        self._tokens = tokens
        self._prove = prove
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self, expires_at: float | None) -> None:
        """The connection is open, with a token that expires then (seconds since 1970), or never as far as is known."""
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
                expiry = answered_expiry(await self._prove(fresh), fresh)
            except Exception as error:  # noqa: BLE001 - the token function may raise what it likes
                if expires_at <= self._clock.now():
                    # The service closes the connection with 3500; the next handshake gets its own token.
                    logger.error("The token was not renewed in time: %s", _words(error))
                    return
                logger.warning("The token was not renewed; trying again before it expires: %s", _words(error))
            else:
                if expiry is None:
                    return
                expires_at = expiry


def usable(token: object) -> str:
    """The token as a header contains it, without the line break at the end of a file.

    Raises:
        UnusableToken: it is not a string, or contains characters that a header cannot contain. The message does not
            show it.
    """
    if not isinstance(token, str):
        raise UnusableToken(f"a token must be a string; the token function returned {type(token).__name__}")
    token = token.strip()
    if not token:
        raise UnusableToken("the token is empty")
    for place, character in enumerate(token):
        if not "!" <= character <= "~":
            raise UnusableToken(
                f"the token contains U+{ord(character):04X} at position {place}, which headers cannot contain"
            )
    return token


def answered_expiry(answer: Any, token: str) -> float | None:
    """When a renewed token expires, in seconds since 1970: by the service's answer, otherwise by the token itself.

    Args:
        answer: the answer to `streamer.authenticate`.
        token: the token that was sent.
    """
    if not isinstance(answer, dict) or "expires_at" not in answer:
        return expiry(token)
    try:
        return None if answer["expires_at"] is None else datetime.fromisoformat(answer["expires_at"]).timestamp()
    except (TypeError, ValueError):
        return expiry(token)


def expiry(token: str) -> float | None:
    """When a JSON Web Token expires, in seconds since 1970; None when it has no expiry, or is not one.

    The token is not verified, which is the task of the service.
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
    """The error message for a token function that returned no token."""
    if isinstance(error, UnusableToken):
        return str(error)
    return f"the token function failed: {_words(error)}"


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, StreamerError) else f"{type(error).__name__}: {error}"


def _ignore(task: asyncio.Future[Any]) -> None:
    """Retrieves the exception of a token function that is no longer awaited."""
    if not task.cancelled():
        task.exception()
