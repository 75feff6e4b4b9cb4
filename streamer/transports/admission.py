"""Authenticates handshakes by their tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from streamer.contracts.auth import Authenticator
from streamer.core.coroutines import Resumed
from streamer.core.errors import Error
from streamer.core.foreign_code import is_our_own
from streamer.core.principal import Principal
from streamer.transports.answers import Answered
from streamer.transports.credentials import BROKEN, TOO_SLOW, refusal


class Admission:
    """Turns tokens into principals, or into the answers that refuse them.

    Args:
        authenticator: of the service.
        timeout: time limit in seconds.
        logger: for authenticators that fail.
    """

    def __init__(self, authenticator: Authenticator, timeout: float, logger: Any) -> None:
        self._authenticator = authenticator
        self._immediate = authenticator.immediate
        self._timeout = timeout
        self._logger = logger

    def begin(self, token: str) -> Principal | Answered | Awaitable[Principal]:
        """The decision about a token, or what `finish` must wait for."""
        if not self._immediate:
            return _Later(self._authenticator, token)
        coroutine: Any = self._authenticator.authenticate(token)
        try:
            waits_for = coroutine.send(None)
        except StopIteration as stop:
            return self._told(stop.value)
        except BaseException as problem:  # noqa: BLE001 - whatever it is, it is this client's end and nobody else's
            return self._refused(problem)
        return Resumed(coroutine, waits_for)

    async def finish(self, started: Awaitable[Principal]) -> Principal | Answered:
        """Finishes, in a task, what `begin` has started."""
        try:
            async with asyncio.timeout(self._timeout):
                return self._told(await started)
        except TimeoutError:
            return TOO_SLOW
        except BaseException as problem:
            if is_our_own(problem):
                raise
            return self._refused(problem)

    def _told(self, value: Any) -> Principal | Answered:
        if isinstance(value, Principal):
            return value
        self._logger.error("the authenticator returned no principal", returned=type(value).__name__)
        return BROKEN

    def _refused(self, problem: BaseException) -> Answered:
        if isinstance(problem, Error):
            self._logger.debug("a token was refused", code=problem.code, reason=problem.message)
            return refusal(problem)
        self._logger.error("the authenticator broke", exc_info=problem)
        return BROKEN


class _Later:
    """Starts only when it is awaited: the library may still refuse the handshake, and then it is never awaited."""

    __slots__ = ("_authenticator", "_token")

    def __init__(self, authenticator: Authenticator, token: str) -> None:
        self._authenticator = authenticator
        self._token = token

    def __await__(self) -> Generator[Any, None, Principal]:
        return self._authenticator.authenticate(self._token).__await__()
