"""The HTTP API: `@connections` of API Gateway, and the faults of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from streamer.core.clock import timestamp
from streamer_aws.emulator.faults import Fault
from streamer_aws.emulator.gateway import Connection, Gateway
from streamer_aws.emulator.ids import is_gateway_id

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes that are read in order to report that there are too many."""
SIGNED: Final = "AWS4-HMAC-SHA256 "


def management(gateway: Gateway) -> web.Application:
    """The application for all plain HTTP requests."""
    app = web.Application(client_max_size=MAX_BODY)
    side = _Management(gateway)
    place = f"/{gateway.stage}/@connections/{{id}}"
    app.router.add_post(place, side.post)
    app.router.add_get(place, side.get, allow_head=False)
    app.router.add_delete(place, side.delete)
    app.router.add_get("/_emulator/faults", side.faults)
    app.router.add_post("/_emulator/faults", side.plan)
    app.router.add_delete("/_emulator/faults", side.clear)
    return app


class _Management:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def post(self, request: web.Request) -> web.Response:
        # First of all, so that the connection cannot end between looking it up and sending the message.
        data = await request.read()
        refused, connection = self._find(request)
        if refused is not None or connection is None:
            return refused or _error(HTTPStatus.GONE, "GoneException", "410")
        name = connection.peer.connection_id
        faults = self._gateway.faults
        if faults.take(Fault.GONE, name):
            return _error(HTTPStatus.GONE, "GoneException", "410")
        if len(data) > self._gateway.limits.message:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "PayloadTooLargeException", "Message too long")
        full = connection.socket.waiting_bytes > self._gateway.limits.client_buffer
        if full or faults.take(Fault.TOO_FAST, name):
            return _too_fast()
        try:
            data.decode()
        except UnicodeDecodeError:
            return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", "The message is not UTF-8")
        connection.socket.send(data)
        if faults.take(Fault.DUPLICATE_POST, name):
            connection.socket.send(data)
        return web.Response()

    async def get(self, request: web.Request) -> web.Response:
        refused, connection = self._find(request)
        if refused is not None or connection is None:
            return refused or _error(HTTPStatus.GONE, "GoneException", "410")
        peer = connection.peer
        identity = {"sourceIp": peer.source_ip}
        if peer.user_agent is not None:
            identity["userAgent"] = peer.user_agent
        return _json(
            {
                "connectedAt": timestamp(peer.connected_at),
                "identity": identity,
                "lastActiveAt": timestamp(connection.socket.last_active),
            }
        )

    async def delete(self, request: web.Request) -> web.Response:
        refused, connection = self._find(request)
        if refused is not None or connection is None:
            return refused or _error(HTTPStatus.GONE, "GoneException", "410")
        connection.socket.close(1000, "Connection Closed Normally")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _find(self, request: web.Request) -> tuple[web.Response | None, Connection | None]:
        """Why the call is refused, or its connection; None if there is none."""
        if not request.headers.get("Authorization", "").startswith(SIGNED):
            return _error(
                HTTPStatus.FORBIDDEN, "MissingAuthenticationTokenException", "Missing Authentication Token"
            ), None
        if not self._gateway.may_request():
            return _too_fast(), None
        name = request.match_info["id"]
        if not is_gateway_id(name):
            return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", f"Invalid connectionId: {name}"), None
        return None, self._gateway.connections.get(name)

    async def faults(self, _request: web.Request) -> web.Response:
        return _json(self._gateway.faults.described())

    async def plan(self, request: web.Request) -> web.Response:
        try:
            self._gateway.faults.plan_described(orjson.loads(await request.read()))
        except ValueError as problem:
            return _json({"message": str(problem)}, HTTPStatus.BAD_REQUEST)
        return _json(self._gateway.faults.described())

    async def clear(self, _request: web.Request) -> web.Response:
        self._gateway.faults.clear()
        return _json(self._gateway.faults.described())


def _too_fast() -> web.Response:
    return _error(HTTPStatus.TOO_MANY_REQUESTS, "LimitExceededException", "Too many requests")


def _error(status: HTTPStatus, kind: str, message: str) -> web.Response:
    return _json({"message": message}, status, {"x-amzn-ErrorType": kind})


def _json(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)
