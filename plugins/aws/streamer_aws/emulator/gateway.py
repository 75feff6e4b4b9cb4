"""API Gateway's WebSocket API with the routes `$connect`, `$disconnect` and `$default`."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakSet

import orjson
from websockets.http11 import Request

from streamer.core.buckets import Buckets
from streamer.core.clock import Clock
from streamer.core.units import Rate
from streamer_aws.emulator.bounded_waits import Tasks, done_within
from streamer_aws.emulator.events import Peer, connect_event, disconnect_event, message_event
from streamer_aws.emulator.faults import Fault, Faults
from streamer_aws.emulator.functions import FunctionError, Invoke, Throttled
from streamer_aws.emulator.ids import gateway_id
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.socket import GOING_AWAY, Socket

REFUSALS: Final = range(400, 600)


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that `$connect` accepted."""

    peer: Peer
    socket: Socket


class Gateway:
    """Accepts sockets, and calls a function for each of their events.

    Messages of one socket are passed to functions as they arrive: concurrently, and so in no particular order.

    Args:
        invoke: calls a function: `connect`, `disconnect` or `default`.
        limits: of API Gateway.
        faults: on demand.
        clock: time.
        stage: the path of the WebSocket endpoint, without its slash.
    """

    def __init__(self, invoke: Invoke, *, limits: Limits, faults: Faults, clock: Clock, stage: str) -> None:
        self.limits = limits
        self.faults = faults
        self.stage = stage
        self.domain = ""
        self.connections: dict[str, Connection] = {}
        self._invoke = invoke
        self._clock = clock
        self._tasks = Tasks()
        self._ids: dict[Socket, str] = {}
        self._sockets: WeakSet[Socket] = WeakSet()
        # AWS allows bursts of a second's worth.
        self._connects = Buckets(Rate(limits.connects, 1.0), limits.connects)
        self._requests = Buckets(Rate(limits.requests, 1.0), limits.requests)

    def socket(self) -> Socket:
        """The protocol of a new connection."""
        made = Socket(
            self.limits, self._clock, on_request=self._on_request, on_message=self._on_message, on_end=self._on_end
        )
        self._sockets.add(made)
        return made

    def may_request(self) -> bool:
        """Whether the account's rate allows another message or post now; counts it."""
        return not self._requests.take("", self._clock.monotonic())

    async def close(self) -> None:
        """Ends all connections, without calling `$disconnect`."""
        connections = list(self.connections.values())
        self.connections.clear()
        self._ids.clear()
        for connection in connections:
            connection.socket.close(GOING_AWAY, "Going away")
        for socket in self._sockets:
            socket.end()
        await self._tasks.stop()

    # $connect

    def _on_request(self, socket: Socket, request: Request) -> None:
        path, _, query = request.path.partition("?")
        if len(f"wss://{self.domain}{request.path}") > self.limits.url:
            socket.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, _body("URI Too Long"))
        elif path.removesuffix("/") != f"/{self.stage}":
            socket.refuse(HTTPStatus.FORBIDDEN, _body("Forbidden"))
        elif self._connects.take("", self._clock.monotonic()):
            socket.refuse(HTTPStatus.TOO_MANY_REQUESTS, _body("Too Many Requests"))
        else:
            self._tasks.start(self._connect(socket, request, query))

    async def _connect(self, socket: Socket, request: Request, query: str) -> None:
        now = self._clock.now()
        agents = request.headers.get_all("User-Agent")
        peer = Peer(
            connection_id=gateway_id(),
            connected_at=now,
            source_ip=socket.source_ip,
            user_agent=agents[0] if agents else None,
            domain=self.domain,
            stage=self.stage,
        )
        answer = await self._ask("connect", connect_event(peer, list(request.headers.raw_items()), query, now))
        status = _status(answer)
        if status in REFUSALS:
            socket.refuse(status, _body(_REASONS.get(status, "Forbidden")))
            return
        # From here on it can be posted to, but not earlier.
        if socket.accept(_subprotocol(answer)):
            self.connections[peer.connection_id] = Connection(peer, socket)
            self._ids[socket] = peer.connection_id
            socket.listen()
        else:
            self._tasks.start(self._disconnect(peer, 1006, "Connection Closed Abnormally"))

    # $default

    def _on_message(self, socket: Socket, text: str) -> None:
        peer = self.connections[self._ids[socket]].peer
        event = message_event(peer, text, self._clock.now())
        if self.may_request():
            self._tasks.start(self._message(socket, event))
        else:
            _tell(socket, event, "Too Many Requests")

    async def _message(self, socket: Socket, event: dict[str, Any]) -> None:
        # The answer's body is ignored: no route response is declared.
        answer = await self._ask("default", event)
        if isinstance(answer, Exception) and socket.is_open:
            _tell(
                socket,
                event,
                "Endpoint request timed out" if isinstance(answer, TimeoutError) else "Internal server error",
            )

    # $disconnect

    def _on_end(self, socket: Socket, code: int, reason: str) -> None:
        connection_id = self._ids.pop(socket, None)
        connection = self.connections.pop(connection_id or "", None)
        if connection is not None and self.faults.take(Fault.LOST_DISCONNECT, connection.peer.connection_id) is None:
            self._tasks.start(self._disconnect(connection.peer, code, reason))

    async def _disconnect(self, peer: Peer, code: int, reason: str) -> None:
        await self._ask("disconnect", disconnect_event(peer, code, reason, self._clock.now()))

    # Functions

    async def _ask(self, name: str, event: dict[str, Any]) -> Any:
        """The function's answer, or the exception instead of one. A function that takes too long continues, and its
        answer is ignored.
        """
        call = self._tasks.start(self._outcome(name, event))
        if await done_within(self._clock, self.limits.integration_timeout, call):
            return call.result()
        return TimeoutError()

    async def _outcome(self, name: str, event: dict[str, Any]) -> Any:
        try:
            return await self._invoke(name, event)
        except (FunctionError, Throttled) as problem:
            return problem


_REASONS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.TOO_MANY_REQUESTS: "Too Many Requests",
    HTTPStatus.BAD_GATEWAY: "Internal server error",
    HTTPStatus.GATEWAY_TIMEOUT: "Endpoint request timed out",
}


def _status(answer: Any) -> int:
    """The answer to the handshake; 502 for an invalid one."""
    if isinstance(answer, TimeoutError):
        return HTTPStatus.GATEWAY_TIMEOUT
    if isinstance(answer, Throttled):
        return HTTPStatus.TOO_MANY_REQUESTS
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, int) and (status // 100 == 2 or status in REFUSALS):  # noqa: PLR2004 - the class of success
        return status
    return HTTPStatus.BAD_GATEWAY


def _subprotocol(answer: dict[str, Any]) -> str | None:
    """The only header of the answer that the client gets."""
    for name, value in (answer.get("headers") or {}).items():
        if name.lower() == "sec-websocket-protocol":
            return str(value)
    return None


def _tell(socket: Socket, event: dict[str, Any], message: str) -> None:
    context = event["requestContext"]
    socket.send(
        orjson.dumps({"message": message, "connectionId": context["connectionId"], "requestId": context["requestId"]})
    )


def _body(message: str) -> bytes:
    return orjson.dumps({"message": message})
