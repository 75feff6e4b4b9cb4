"""Authenticates connections of API Gateway, and stores their principals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from streamer.config.settings import ServerSettings
from streamer.contracts.auth import Authenticator
from streamer.contracts.connections import ConnectionInfo, ConnectionRegistry
from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import StoreError, StreamerError
from streamer.core.owners import OWNER_KEY, OwnerNames, new_key
from streamer.core.principal import Principal
from streamer.transports.admission import Admission
from streamer.transports.answers import Answered
from streamer.transports.credentials import NO_TOKEN, SUBPROTOCOL, offered_subprotocols, token_of
from streamer.transports.handshake import identified, origin_allowed
from streamer_aws.connections.rows import confirmed_by

_FORBIDDEN_ORIGIN: Final = Answered(HTTPStatus.FORBIDDEN, "this origin is not among server.allowed_origins\n")
_NOT_NOW: Final = Answered(
    HTTPStatus.SERVICE_UNAVAILABLE, "the connection could not be stored; try again\n", (("Retry-After", "1"),)
)


class GatewayAuthorizer:
    """An `Authorizer` that decides at `$connect`, and stores the information that later events lack.

    Args:
        connections: of API Gateway; uses `connected`, `subscriptions` and `close`.
        authenticator: used at `$connect`; None accepts everybody.
        server: origins and time limits; the gateway handles sockets itself.
        clock: time.
        logger: for errors that the client need not know.
        leave: called with connections that have ended.
        delivered: called with the requests whose outcomes a client has confirmed; None where no messages arrive.
    """

    def __init__(
        self,
        connections: Any,
        authenticator: Authenticator | None,
        server: ServerSettings,
        *,
        clock: Clock,
        logger: Any,
        leave: Any,
        delivered: Callable[[Sequence[Key]], Awaitable[None]] | None = None,
    ) -> None:
        self._delivered = delivered
        self._connections = connections
        self._connected: ConnectionRegistry = connections.connected
        self._leeway = 0.0 if authenticator is None else authenticator.leeway
        self._admission = None if authenticator is None else Admission(authenticator, server.handshake_timeout, logger)
        self._origins = server.allowed_origins
        self._clock = clock
        self._logger = logger
        self._leave = leave
        self._owners: OwnerNames | None = None

    async def connect(self, event: Mapping[str, Any], /) -> dict[str, Any]:
        connection_id = event["requestContext"]["connectionId"]
        headers = _headers(event)
        offered = offered_subprotocols(headers.get("sec-websocket-protocol", []))
        admitted = await self._admit(connection_id, headers, offered, urlencode(_query(event), doseq=True))
        if isinstance(admitted, ConnectionInfo):
            try:
                await self._connected.add(connection_id, admitted)
            except StoreError as problem:
                admitted = self._not_now(problem)
        if isinstance(admitted, Answered):
            return {"statusCode": int(admitted.status), "headers": dict(admitted.headers), "body": admitted.body}
        # Also chosen without authentication: a browser fails a handshake whose offer is not accepted.
        chosen = {"Sec-WebSocket-Protocol": SUBPROTOCOL} if SUBPROTOCOL in offered else {}
        return {"statusCode": 200, "headers": chosen}

    async def identify(self, event: Mapping[str, Any], /) -> ConnectionInfo | None:
        """An unknown connection, or one whose authentication has expired, must connect again."""
        connection_id = event["requestContext"]["connectionId"]
        known = await self._connected.get(connection_id)
        if known is not None and not self._expired(known.principal):
            if known.unconfirmed:
                await self._confirm(connection_id, known, event)
            return known
        self._logger.info(
            "a connection was closed", connection_id=connection_id, reason="unknown" if known is None else "expired"
        )
        try:
            await self._connections.close(connection_id)
        except StreamerError as problem:
            self._logger.warning("a connection was not closed", connection_id=connection_id, error=str(problem))
        return None

    async def disconnect(self, event: Mapping[str, Any], /) -> None:
        """If this fails, the connection is deleted later, by its age."""
        connection_id = event["requestContext"]["connectionId"]
        try:
            await self._connected.remove(connection_id)
        except StoreError as problem:
            self._logger.warning(
                "the end of a connection was not stored", connection_id=connection_id, error=str(problem)
            )
        await self._leave(connection_id)

    async def _admit(
        self, connection_id: str, headers: Mapping[str, list[str]], offered: list[str], query: str
    ) -> ConnectionInfo | Answered:
        if not all(origin_allowed(origin, self._origins) for origin in headers.get("origin", [])):
            return _FORBIDDEN_ORIGIN
        decision = identified(query)
        if isinstance(decision, Answered):
            return decision
        if self._admission is None:
            if decision.client_id is None:
                return ConnectionInfo(f"connection:{connection_id}", None)
            try:
                return ConnectionInfo((await self._names()).client(decision.client_id), None)
            except StoreError as problem:
                return self._not_now(problem)
        token = token_of(headers.get("authorization", []), offered, query)
        if not isinstance(token, str):
            return token or NO_TOKEN
        started = self._admission.begin(token)
        admitted = started if isinstance(started, Principal | Answered) else await self._admission.finish(started)
        return ConnectionInfo(admitted.owner, admitted) if isinstance(admitted, Principal) else admitted

    async def _names(self) -> OwnerNames:
        if self._owners is None:
            # The owner key is in the store, which this function reads and writes anyway.
            self._owners = OwnerNames(await self._connected.keep(OWNER_KEY, new_key()))
        return self._owners

    def _not_now(self, problem: StoreError) -> Answered:
        self._logger.error("a connection could not be stored", error=str(problem))
        return _NOT_NOW

    async def _confirm(self, connection_id: str, known: ConnectionInfo, event: Mapping[str, Any]) -> None:
        """A client that sends a message has received everything that was sent to it before."""
        sent_at = event["requestContext"].get("requestTimeEpoch", self._clock.now() * 1000) / 1000
        confirmed = confirmed_by(known.unconfirmed, sent_at)
        if not confirmed or self._delivered is None:
            return
        try:
            await asyncio.gather(
                self._delivered([(known.owner, request_id) for request_id in confirmed.values()]),
                self._connected.confirm(connection_id, confirmed),
            )
        except StoreError as problem:
            # At worst, an owner gets an outcome twice.
            self._logger.warning("a delivery was not recorded", connection_id=connection_id, error=str(problem))

    def _expired(self, principal: Principal | None) -> bool:
        return (
            principal is not None
            and principal.expires_at is not None
            and principal.expires_at + self._leeway <= self._clock.now()
        )


def _headers(event: Mapping[str, Any]) -> dict[str, list[str]]:
    """By lower-case name. Both forms are optional."""
    found: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        found.setdefault(name.lower(), []).extend(values)
    for name, value in (event.get("headers") or {}).items():
        found.setdefault(name.lower(), [value])
    return found


def _query(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
