"""Forwards each request to an HTTP endpoint: an action without Python code.

It imports aiohttp, so it is imported only when it is used.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from multidict import CIMultiDict

from streamer.contracts.components import BuildContext
from streamer.contracts.handlers import BaseHandler
from streamer.core.clock import Clock
from streamer.core.coroutines import EnterTask
from streamer.core.errors import INTERNAL_ERROR, TIMEOUT, Error, StartError
from streamer.core.messages import Request, Result
from streamer.core.units import format_duration, parse_duration, parse_size
from streamer.handlers.http_answers import RETRY_STATUSES, is_streamed, refusal, success
from streamer.handlers.http_options import problems
from streamer.handlers.json_lines import JsonLines
from streamer.handlers.logs import request_logger
from streamer.handlers.resolver import OwnThreads, PrivateAddress, PublicResolver

_SUCCESS: Final = range(200, 300)

_SLICE: Final = 4096
"""Bytes of a streamed answer that are parsed in one iteration of the loop."""

_HEADER_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class HttpHandler(BaseHandler):
    """Sends the payload as a JSON body, and turns the answer into a Result or an Error.

    The headers `X-Request-Id`, `X-Streamer-Action` and `X-Streamer-Attempt` are added, percent-encoded where necessary;
    a header of the session with the same name replaces them. Redirects are not followed, and cookies are not kept:
    requests of different clients share nothing.

    Args:
        session: the connections that all requests of this handler share.
        url: the endpoint.
        method: `POST`, `PUT`, `PATCH`, or `GET`: with GET, the payload's strings, numbers and booleans are added to the
            URL's query, except those that the URL already contains.
        clock: for a `Retry-After` that is a date.
        logger: gets what the client must not see.
        timeout: seconds for the whole exchange, including a streamed answer.
        max_response: maximum bytes of the body, or of one line of a streamed one.
        retry_statuses: statuses whose error is `retryable`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        clock: Clock,
        logger: Any,
        method: str = "POST",
        timeout: float = 30.0,
        max_response: int = 10 * 1024 * 1024,
        retry_statuses: frozenset[int] = RETRY_STATUSES,
    ) -> None:
        super().__init__(estimated_duration=0.5)
        self._session = session
        self._url = url
        self._shown = _without_secrets(url)
        self._own_parameters = _parameters(url)
        self._method = method
        self._clock = clock
        self._logger = logger
        self._timeout = timeout
        self._max_response = max_response
        self._retry_statuses = retry_statuses

    async def process(self, request: Request, /) -> Result:
        """The endpoint's outcome.

        Raises:
            Error: the endpoint's own, or one for its status, with `status` in the details; TIMEOUT; INTERNAL_ERROR,
                retryable, when it cannot be reached or the connection breaks.
        """
        try:
            async with self._session.request(
                self._method, self._url, headers=self._headers(request), allow_redirects=False, **self._content(request)
            ) as response:
                return await self._answer(request, response)
        except TimeoutError as problem:
            error = Error(TIMEOUT, f"The endpoint took longer than {format_duration(self._timeout)}")
            raise error from problem
        except (aiohttp.ClientError, OSError) as problem:
            # A name that resolves to a forbidden address will do so the next time, too.
            reason = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else None
            refused = isinstance(reason, PrivateAddress)
            error = Error(INTERNAL_ERROR, "The endpoint could not be reached", retryable=not refused)
            error.add_note(f"{self._method} {self._shown} failed: {type(problem).__name__}: {problem}")
            raise error from problem

    def _content(self, request: Request) -> dict[str, Any]:
        payload = request.payload
        if self._method != "GET":
            return {"data": msgspec.json.encode(payload)}
        if not isinstance(payload, dict):
            return {}
        return {
            "params": {
                name: str(value).lower() if isinstance(value, bool) else str(value)
                for name, value in payload.items()
                if isinstance(value, str | int | float) and _base(name) not in self._own_parameters
            }
        }

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "X-Request-Id": urllib.parse.quote(request.id, safe=_HEADER_SAFE),
            "X-Streamer-Action": request.action,
            "X-Streamer-Attempt": str(request.attempt),
        }
        given = self._session.headers
        return {name: value for name, value in headers.items() if name not in given}

    async def _answer(self, request: Request, response: aiohttp.ClientResponse) -> Result:
        content_type = response.headers.get("Content-Type", "")
        succeeded = response.status in _SUCCESS
        if succeeded and is_streamed(content_type):
            return await self._streamed(request, response)
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._max_response:
                error = Error(INTERNAL_ERROR, "The endpoint's answer is too large", {"status": response.status})
                error.add_note(f"{self._shown} answered with more than max_response, {self._max_response} bytes")
                raise error
        if succeeded:
            return success(bytes(body), content_type)
        error = refusal(
            response.status,
            response.headers,
            bytes(body),
            now=self._clock.now(),
            retryable=response.status in self._retry_statuses,
        )
        request_logger(self._logger, request).warning("%s answered with status %d", self._shown, response.status)
        raise error

    async def _streamed(self, request: Request, response: aiohttp.ClientResponse) -> Result:
        lines = JsonLines(request.progress, self._max_response)
        async for piece in response.content.iter_any():
            # In slices: a flood of short lines must not block the loop.
            for start in range(0, len(piece), _SLICE):
                lines.feed(piece[start : start + _SLICE])
                await EnterTask()
        outcome = lines.end()
        if outcome is None:
            raise Error(
                INTERNAL_ERROR,
                "The endpoint's answer ended without a result",
                {"status": response.status},
                retryable=True,
            )
        if isinstance(outcome, Error):
            raise outcome
        return outcome


def _parameters(url: str) -> frozenset[str]:
    """Names of the parameters in a URL's query."""
    query = urllib.parse.urlsplit(url).query
    return frozenset(_base(name) for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True))


def _base(name: str) -> str:
    """Many frameworks read `key[]` and `key[a]` as parts of `key`, and ignore spaces around it."""
    return name.partition("[")[0].strip()


def _without_secrets(url: str) -> str:
    """For logs: user, password and query may contain secrets."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@asynccontextmanager
async def build(options: Mapping[str, Any], context: BuildContext) -> AsyncIterator[HttpHandler]:
    """The handler for an action's options; its connections are closed with the service.

    Raises:
        StartError: HTTP cannot send the URL or a header.
    """
    url = options["url"]
    for problem in problems(options):
        raise StartError(f"an action's http handler cannot start: {problem.message}")
    timeout = parse_duration(options.get("timeout", "30s"))
    headers = CIMultiDict({"Content-Type": "application/json", "Accept": "application/json, application/x-ndjson"})
    # Header names are case-insensitive: those in the file replace ours.
    headers.update(options.get("headers", {}))
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=timeout),
        # The action's own concurrency is the limit; a second limit here would only hide it.
        connector=aiohttp.TCPConnector(
            limit=0, resolver=OwnThreads() if options.get("allow_private", False) else PublicResolver()
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield HttpHandler(
            session,
            url,
            clock=context.clock,
            logger=context.logger,
            method=options.get("method", "POST"),
            timeout=timeout,
            max_response=parse_size(options.get("max_response", "10MiB")),
            retry_statuses=frozenset(options.get("retry_statuses", RETRY_STATUSES)),
        )
