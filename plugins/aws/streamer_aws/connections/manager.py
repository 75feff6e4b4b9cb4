"""Sends messages to connections that API Gateway holds; each message is a call."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as Unheard

from streamer.contracts.connections import Message
from streamer.core.clock import Clock
from streamer.core.errors import ConnectionGone, NotSent, StoreError
from streamer.core.parts import split
from streamer.core.principal import Principal
from streamer_aws.connections.rows import ConnectionRows
from streamer_aws.connections.subscriptions import SubscriptionRows
from streamer_aws.connections.table import BY_TENANT, BY_USER

MAX_MESSAGE: Final = 128 * 1024
"""Maximum bytes of one message in API Gateway; longer ones are sent in parts."""
TRIES: Final = 8
ANSWER_TRIES: Final = 2
"""Tries for an answer that is refused as too fast: the function waits meanwhile, and the number of functions is
limited.
"""
FULL_FOR: Final = 5.0
"""Seconds for which nothing is sent to a connection that accepted nothing, except outcomes, once each."""
MOST_FULL: Final = 1000
"""Maximum number of such connections that are remembered."""
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 2.0
"""Seconds, each drawn at random between zero and the delay: some five on average for all tries together."""
AT_ONCE: Final = 32
"""Concurrent posts of one broadcast."""
_TOO_FAST: Final = frozenset({"LimitExceededException", "TooManyRequestsException", "ThrottlingException"})
_SERVER_FAULT: Final = 500


class NotPosted(NotSent):
    """API Gateway did not accept a message: it failed, refused, or asked for fewer calls until no tries were left."""


class _Full(NotPosted):
    """API Gateway asked for fewer calls until no tries were left."""


class ApiGatewayConnections:
    """A `ConnectionManager` and `ConnectionDirectory`, for connections whose messages arrive in many processes.

    Args:
        open_client: creates a client of `apigatewaymanagementapi` for an endpoint.
        endpoint: of the stage, `https://{api}.execute-api.{region}.amazonaws.com/{stage}`; None: `use_endpoint` sets
            it.
        rows: of the connections.
        subscriptions: of the requests.
        clock: for waits.
        logger: for errors that concern no request.
        progress_interval: minimum seconds between two progress messages of one request: each is billed, and counts
            against the account's rate.
        generator: of the jitter.
    """

    def __init__(
        self,
        open_client: Callable[[str], AbstractAsyncContextManager[Any]],
        endpoint: str | None,
        *,
        rows: ConnectionRows,
        subscriptions: SubscriptionRows,
        clock: Clock,
        logger: Any,
        progress_interval: float = 1.0,
        generator: random.Random | None = None,
    ) -> None:
        self.connected = rows
        self.subscriptions = subscriptions
        self.progress_interval = progress_interval
        self._open_client = open_client
        self._endpoint = endpoint
        self._clock = clock
        self._logger = logger
        self._generator = generator or random.Random()  # noqa: S311 - jitter, not a secret
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._full: dict[str, float] = {}
        """Until when a connection counts as one that accepts nothing."""

    def use_endpoint(self, url: str) -> None:
        """Sets the endpoint, unless it is already set."""
        if self._endpoint is None:
            self._endpoint = url

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        """Progress that is too fast for API Gateway is dropped: newer progress follows.

        A connection that does not accept an answer is closed, so that its client learns that it misses one. Outcomes
        are kept by the store, and sent again.

        Raises:
            ConnectionGone: the connection has ended; its information is deleted.
            NotPosted: API Gateway does not accept the message.
        """
        data = message if isinstance(message, bytes) else _encode(message)
        answer, passing = replaces is None, replaces is not None and not final
        async with self._turn(connection_id):
            tries = ANSWER_TRIES if answer else TRIES
            if self._is_full(connection_id):
                if passing:
                    return
                if answer:
                    raise NotPosted(f"connection {connection_id} accepts no messages: its client does not read them")
                tries = 1
            try:
                for part in split(data, MAX_MESSAGE):
                    await self._post(connection_id, part, passing=passing, tries=tries)
            except _Full:
                self._note_full(connection_id)
                if answer:
                    with contextlib.suppress(NotPosted):
                        await self.close(connection_id)
                raise

    def room(self, connection_id: str, /) -> None:
        """Every message is a call that is awaited, so nothing is buffered."""

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """The message is encoded once; a failed post is logged."""
        data = message if isinstance(message, bytes) else _encode(message)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(connection_id: str) -> bool:
            async with gate:
                try:
                    await self.send(connection_id, data)
                except ConnectionGone:
                    return False
                except NotPosted as problem:
                    self._logger.warning("broadcast failed", connection_id=connection_id, error=str(problem))
                return True

        there = await asyncio.gather(*map(one, connection_ids))
        return [name for name, is_there in zip(connection_ids, there, strict=True) if not is_there]

    async def is_active(self, connection_id: str, /) -> bool:
        """Asks API Gateway."""
        try:
            await self._call("get_connection", connection_id)
        except ConnectionGone:
            return False
        return True

    async def by_user(self, user_id: str, /, tenant_id: str = "") -> list[str]:
        return await self.connected.found(BY_USER, "user", Principal(user_id=user_id, tenant_id=tenant_id).owner)

    async def by_tenant(self, tenant_id: str, /) -> list[str]:
        return await self.connected.found(BY_TENANT, "tenant", tenant_id) if tenant_id else []

    async def close(self, connection_id: str, /) -> None:
        """Closes a connection. Does nothing if it does not exist.

        Raises:
            NotPosted: API Gateway does not close it.
        """
        try:
            await self._call("delete_connection", connection_id, patience=ANSWER_TRIES)
        except ConnectionGone:
            return

    async def aclose(self) -> None:
        """Closes the client."""
        self._client = None
        await self._stack.aclose()

    def _is_full(self, connection_id: str) -> bool:
        until = self._full.get(connection_id)
        if until is None:
            return False
        if self._clock.monotonic() < until:
            return True
        del self._full[connection_id]
        return False

    def _note_full(self, connection_id: str) -> None:
        if len(self._full) >= MOST_FULL:
            # In the order in which they were added; the oldest expires first.
            del self._full[next(iter(self._full))]
        self._full[connection_id] = self._clock.monotonic() + FULL_FOR

    @asynccontextmanager
    async def _turn(self, connection_id: str) -> AsyncIterator[None]:
        """Messages to one connection are sent in the order of the calls."""
        lock, waiting = self._turns.get(connection_id, (None, 0))
        if lock is None:
            lock = asyncio.Lock()
        self._turns[connection_id] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns[connection_id]
            if waiting == 1:
                del self._turns[connection_id]
            else:
                self._turns[connection_id] = (lock, waiting - 1)

    async def _post(self, connection_id: str, data: bytes, *, passing: bool, tries: int) -> None:
        try:
            await self._call("post_to_connection", connection_id, passing=passing, patience=tries, Data=data)
        except ConnectionGone:
            try:
                await self.connected.remove(connection_id)
            except StoreError as problem:
                self._logger.warning("a closed connection was not deleted", error=str(problem))
            raise

    async def _call(
        self, operation: str, connection_id: str, *, passing: bool = False, patience: int = TRIES, **parameters: Any
    ) -> None:
        """Repeats a call to API Gateway while that may help; at most `patience` times when it is too fast."""
        tries = refused = 0
        while True:
            client = await self._connected()
            try:
                await getattr(client, operation)(ConnectionId=connection_id, **parameters)
            except ClientError as problem:
                code = problem.response.get("Error", {}).get("Code", "")
                status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if code == "GoneException" or status == 410:  # noqa: PLR2004 - HTTP's own word for it
                    raise ConnectionGone(f"connection {connection_id} is not open") from None
                too_fast = code in _TOO_FAST or status == 429  # noqa: PLR2004 - as above
                if too_fast and passing:
                    return
                if not too_fast and status < _SERVER_FAULT:
                    raise NotPosted(self._refusal(operation, code, problem)) from problem
                failure = f"API Gateway asks for fewer calls ({code})" if too_fast else f"API Gateway fails: {problem}"
                refused += too_fast
                if refused >= patience:
                    raise _Full(failure) from None
            except (HTTPClientError, Unheard) as problem:
                failure = f"API Gateway cannot be reached at {self._endpoint}: {problem}"
            except BotoCoreError as problem:
                raise NotPosted(f"cannot call API Gateway: {problem}") from problem
            else:
                return
            tries += 1
            if tries == TRIES:
                raise NotPosted(failure)
            longest = min(FIRST_DELAY * 2 ** (tries - 1), LONGEST_DELAY)
            await self._clock.sleep(self._generator.uniform(0.0, longest))

    def _refusal(self, operation: str, code: str, problem: ClientError) -> str:
        if code in ("ForbiddenException", "AccessDeniedException", "MissingAuthenticationTokenException"):
            return (
                f"API Gateway refuses {operation} at {self._endpoint} ({code}): is this the address of the API's "
                "stage, and may this role call execute-api:ManageConnections on it?"
            )
        return f"API Gateway refuses {operation} at {self._endpoint}: {problem}"

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                if self._endpoint is None:
                    raise NotPosted(
                        "the address of API Gateway is unknown: set AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI, or "
                        "'endpoint' of backends.connections, to the https:// address of the API's stage"
                    )
                self._client = await self._stack.enter_async_context(self._open_client(self._endpoint))
        return self._client


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a message may not contain a {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
