"""A proxy in front of DynamoDB: it counts the calls, and makes them fail when a fault was requested."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from streamer_aws.emulator.faults import Fault, Faults

REFUSALS: Final = {
    Fault.THROTTLED: (
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded.",
    ),
    Fault.CONFLICT: (
        "TransactionConflictException",
        "Transaction is ongoing for the item",
    ),
}
MAX_BODY: Final = 64 * 1024 * 1024
HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"})


class Proxy:
    """Passes calls on to a service with the API of DynamoDB.

    Args:
        target: its address.
        session: for the calls.
        faults: which calls fail.
    """

    def __init__(self, target: str, session: aiohttp.ClientSession, faults: Faults) -> None:
        self.calls: Counter[str] = Counter()
        """How often each operation was called, including failed calls."""
        self._target = target.rstrip("/")
        self._session = session
        self._faults = faults

    def application(self) -> web.Application:
        """The application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.calls[operation] += 1
        for fault, (kind, message) in REFUSALS.items():
            if self._faults.take(fault, operation):
                return _error(HTTPStatus.BAD_REQUEST, kind, message)
        try:
            async with self._session.request(
                request.method,
                self._target + request.raw_path,
                data=await request.read(),
                headers={
                    # Including the host, which is signed.
                    name: value
                    for name, value in request.headers.items()
                    if name.lower() not in HOP_BY_HOP
                },
            ) as answer:
                body = await answer.read()
                headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
                status = answer.status
        except aiohttp.ClientError as problem:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", f"{self._target}: {problem}")
        if self._faults.take(Fault.LOST_ANSWER, operation):
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerError", "The answer was lost.")
        return web.Response(status=status, body=body, headers=headers)


def _error(status: HTTPStatus, kind: str, message: str) -> web.Response:
    body: dict[str, Any] = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/x-amz-json-1.0")
