"""The HTTP API for operators: `/admin/v1/…`. Everything is JSON, paged and bounded."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from streamer.admin.answers import BadQuery, json_answer, only, page_size, problem
from streamer.admin.heartbeat import Heartbeat
from streamer.admin.overview import Overview
from streamer.admin.probes import ServiceLoop
from streamer.admin.readiness import Readiness
from streamer.admin.requests import BODIES, SeveralOwners, StoredRequests
from streamer.admin.server import Handler
from streamer.core.clock import timestamp
from streamer.core.errors import NOT_FOUND, Error, StoreError, TransitionRefused
from streamer.core.health import Health
from streamer.core.records import Status

PREFIX: Final = "/admin/v1"
MAX_TEXT: Final = 1000
"""Characters of a message that an operator gives."""

Call = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The handlers.

    Args:
        service: runs what belongs to the service's loop.
        requests: those in the store.
        overview: of this process.
        readiness: of the service.
        heartbeat: of its event loop.
        health: what its parts report.
        config: makes the effective settings, secrets hidden.
        version: of the service.
        started_at: wall-clock seconds.
    """

    def __init__(
        self,
        service: ServiceLoop,
        requests: StoredRequests,
        overview: Overview,
        readiness: Readiness,
        heartbeat: Heartbeat,
        health: Health,
        *,
        config: Callable[[], dict[str, Any]],
        version: str,
        started_at: float,
    ) -> None:
        self._service = service
        self._requests = requests
        self._overview = overview
        self._readiness = readiness
        self._heartbeat = heartbeat
        self._health = health
        self._config = config
        self._version = version
        self._started_at = started_at

    def routes(self) -> dict[tuple[str, str], Handler]:
        """The handlers by method and path."""
        handlers: dict[tuple[str, str], Call] = {
            ("GET", "/health"): self.health,
            ("GET", "/requests"): self.list_requests,
            ("GET", "/requests/{id}"): self.show_request,
            ("POST", "/requests/{id}/cancel"): self.cancel_request,
            ("POST", "/requests/{id}/retry"): self.retry_request,
            ("GET", "/connections"): self.list_connections,
            ("POST", "/connections/{id}/disconnect"): self.disconnect,
            ("GET", "/actions"): self.actions,
            ("GET", "/workers"): self.workers,
            ("GET", "/config"): self.config,
        }
        return {(method, f"{PREFIX}{path}"): _answering(handler) for (method, path), handler in handlers.items()}

    async def health(self, request: web.Request) -> web.Response:
        """The checks of `/readyz` with their reasons, and since when the service runs. 200 whatever they found."""
        only(request.query)
        report = await self._service.run(self._readiness.report())
        status = "draining" if report.draining else "ok" if report.ready() else "not ready"
        return json_answer(
            {
                "status": status,
                "version": self._version,
                "started_at": timestamp(self._started_at),
                "checks": {
                    name: {"ok": found.problem is None, "problem": found.problem, "seconds": round(found.seconds, 6)}
                    for name, found in report.results.items()
                },
                "problems": list(self._health.problems),
                "seconds_since_the_loop_turned": round(self._heartbeat.silence, 3),
            }
        )

    async def list_requests(self, request: web.Request) -> web.Response:
        """Requests, newest first, by `status`, `action` and `owner`; `cursor` for the next page."""
        query = request.query
        only(query, "status", "action", "owner", "limit", "cursor")
        status = None
        if (written := query.get("status")) is not None:
            if written.upper() not in Status.__members__:
                raise BadQuery(f"status must be one of {', '.join(Status.__members__)}")
            status = Status(written.upper())
        page = self._requests.page(
            owner=query.get("owner"),
            status=status,
            action=query.get("action"),
            limit=page_size(query),
            cursor=query.get("cursor"),
        )
        return json_answer(await self._service.run(page))

    async def show_request(self, request: web.Request) -> web.Response:
        """One request; `include=payload,result` for these."""
        only(request.query, "owner", "include")
        bodies = frozenset(filter(None, request.query.get("include", "").split(",")))
        if not bodies <= {*BODIES}:
            raise BadQuery(f"include must be of {', '.join(BODIES)}")
        found = self._requests.show(request.match_info["id"], request.query.get("owner"), bodies)
        return json_answer(await self._service.run(found))

    async def cancel_request(self, request: web.Request) -> web.Response:
        """Ends a request; the body may have a `message` for its owner."""
        only(request.query, "owner")
        message = await _text(request, "message", "An operator cancelled the request")
        ended = self._requests.cancel(request.match_info["id"], request.query.get("owner"), message)
        return json_answer(await self._service.run(ended))

    async def retry_request(self, request: web.Request) -> web.Response:
        """Runs a failed or cancelled request again."""
        only(request.query, "owner")
        await _body(request)
        retried = self._requests.retry(request.match_info["id"], request.query.get("owner"))
        return json_answer(await self._service.run(retried))

    async def list_connections(self, request: web.Request) -> web.Response:
        """The open connections of this process, oldest first."""
        only(request.query, "limit", "cursor")
        cursor = request.query.get("cursor", "0")
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:  # noqa: PLR2004 - digits of 64 bits
            raise BadQuery("cursor must be one that an answer had")
        return json_answer(await self._service.run(self._overview.connections(page_size(request.query), int(cursor))))

    async def disconnect(self, request: web.Request) -> web.Response:
        """Closes a connection; the body may have a `reason` for its client."""
        only(request.query)
        reason = await _text(request, "reason", "an operator closed the connection")
        connection_id = request.match_info["id"]
        if not await self._service.run(self._overview.disconnect(connection_id, reason)):
            return problem(HTTPStatus.NOT_FOUND, f"no connection {connection_id!r} is open in this process")
        return json_answer({"id": connection_id, "disconnected": True})

    async def actions(self, request: web.Request) -> web.Response:
        """The actions of the file."""
        only(request.query)
        return json_answer(await self._service.run(self._overview.actions()))

    async def workers(self, request: web.Request) -> web.Response:
        """The worker of this process."""
        only(request.query)
        return json_answer(await self._service.run(self._overview.workers()))

    async def config(self, request: web.Request) -> web.Response:
        """The effective settings, secrets hidden."""
        only(request.query)
        return json_answer({"config": self._config()})


def _answering(handler: Call) -> Handler:
    """The handler, with what it raises as an answer."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadQuery as bad:
            return problem(HTTPStatus.BAD_REQUEST, str(bad))
        except SeveralOwners as several:
            return problem(HTTPStatus.CONFLICT, str(several), owners=several.owners)
        except TransitionRefused as refused:
            return problem(HTTPStatus.CONFLICT, str(refused))
        except Error as error:
            status = HTTPStatus.NOT_FOUND if error.code == NOT_FOUND else HTTPStatus.BAD_REQUEST
            return problem(status, error.message)
        except StoreError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the store did not respond: {error}")

    return answer


async def _body(request: web.Request) -> dict[str, Any]:
    """The body's object; empty without one.

    Raises:
        BadQuery: it is no JSON object.
    """
    text = await request.text()
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadQuery("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadQuery("the body must be a JSON object")
    return value


async def _text(request: web.Request, name: str, default: str) -> str:
    """The only field that the body may have.

    Raises:
        BadQuery: there is another, or it is no text of up to `MAX_TEXT` characters.
    """
    body = await _body(request)
    only(body, name)
    text = body.get(name, default)
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise BadQuery(f"{name} must be a text of up to {MAX_TEXT} characters")
    return text
