"""Sends one message to one connection; a failure affects only that connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from streamer.contracts.connections import ConnectionManager
from streamer.contracts.stores import Key
from streamer.core.coroutines import DONE
from streamer.core.errors import ConnectionGone, NotSent
from streamer.core.foreign_code import is_our_own
from streamer.engine.sent_outcomes import SentOutcomes


class Outbox:
    """Passes messages of requests to the connection manager.

    Args:
        connections: send the messages.
        on_gone: called with each connection that turns out to have ended.
        logger: for exceptions of a connection manager besides ConnectionGone.
        sent: records the outcomes that were sent; None: not recorded.
    """

    def __init__(
        self,
        connections: ConnectionManager,
        on_gone: Callable[[str], None],
        logger: Any,
        sent: SentOutcomes | None = None,
    ) -> None:
        self._connections = connections
        self._on_gone = on_gone
        self._logger = logger
        self._sent = sent
        self._resuming: dict[str, list[set[Key]]] = {}

    def send(self, key: Key, connection_id: str, message: bytes, *, final: bool) -> Awaitable[None]:
        """Passes the message on. Returns `DONE` if nothing must be awaited."""
        if final and self._resuming:
            for sent in self._resuming.get(connection_id, ()):
                sent.add(key)
        try:
            sending = self._connections.send(connection_id, message, replaces=key[1], final=final)
        except BaseException as problem:  # noqa: BLE001 - as below
            self._not_sent(key, connection_id, problem)
            return DONE
        if final and self._sent is not None:
            sending = self._sent.note(key, connection_id, sending)
        return DONE if sending is DONE else self._finish(key, connection_id, sending)

    async def try_send(self, key: Key, connection_id: str, message: bytes) -> bool:
        """Passes on a message that is not an outcome. Returns whether it was accepted; failures are logged."""
        try:
            await self._connections.send(connection_id, message, replaces=key[1], final=False)
        except BaseException as problem:  # noqa: BLE001 - as below
            self._not_sent(key, connection_id, problem)
            return False
        return True

    @contextmanager
    def resuming(self, connection_id: str) -> Iterator[Collection[Key]]:
        """Within this context, collects the requests whose outcomes are sent to the connection in any way."""
        sent: set[Key] = set()
        self._resuming.setdefault(connection_id, []).append(sent)
        try:
            yield sent
        finally:
            others = [one for one in self._resuming[connection_id] if one is not sent]
            if others:
                self._resuming[connection_id] = others
            else:
                del self._resuming[connection_id]

    async def _finish(self, key: Key, connection_id: str, sending: Awaitable[None]) -> None:
        try:
            await sending
        except BaseException as problem:  # noqa: BLE001 - one connection's fault must not stop the progress of the others
            self._not_sent(key, connection_id, problem)

    def _not_sent(self, key: Key, connection_id: str, problem: BaseException) -> None:
        if isinstance(problem, ConnectionGone):
            self._on_gone(connection_id)
        elif is_our_own(problem):
            raise problem
        elif isinstance(problem, NotSent):
            self._logger.warning(
                "a connection did not accept a message",
                connection_id=connection_id,
                request_id=key[1],
                error=str(problem),
            )
        else:
            self._logger.error(
                "a message could not be sent", connection_id=connection_id, request_id=key[1], exc_info=problem
            )
