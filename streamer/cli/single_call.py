"""Sends one request to a running service and turns its outcome into an exit status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from streamer.cli import exits
from streamer.cli.output import note, write_json
from streamer.cli.progress import Display, display
from streamer.core.clock import SystemClock

if TYPE_CHECKING:
    from streamer.client import RequestFailed, RequestHandle, StreamerClient
    from streamer.core.messages import Result


LOOK: Final = 2.0
"""Seconds between two queries for the attempt number of a queued request, on a terminal."""
_UNAUTHORIZED = 401
_OPTION_OR_VARIABLE = "pass one with --token or STREAMER_TOKEN"


@dataclass(slots=True, kw_only=True)
class Call:
    """The request to send, and how to show its progress and outcome."""

    url: str
    action: str
    payload: Any = None
    request_id: str | None = None
    metadata: Mapping[str, str] | None = None
    wait: float | None = None
    timeout: float | None = None
    client_id: str | None = None
    token: str | None = field(default=None, repr=False)
    as_json: bool = False
    show_progress: bool = True
    reconnect: bool = True
    """Whether to reconnect when the connection breaks."""
    queued: bool = False
    """Whether the service has acknowledged the request, so that it continues without this client."""
    _unwritten: Exception | None = field(default=None, init=False, repr=False)
    """The error that prevented a message from being written to standard output."""

    def run(self) -> int:
        """Sends the request, shows its progress and outcome, and returns the exit status."""
        from streamer.client import ConnectionFailed, ConnectionLost, RequestFailed, StreamerClient
        from streamer.client.tokens import UnusableToken

        # The command prints each error itself, once.
        logging.getLogger("streamer.client").setLevel(logging.CRITICAL)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        shown = display(self.action, quiet=self.as_json or not self.show_progress)
        try:
            client = StreamerClient(
                self.url, self.client_id, token=self.token, reconnect=self.reconnect, on_state_change=shown.connection
            )
        except UnusableToken as error:
            raise click.UsageError(f"--token: {error}") from None
        except ValueError as error:
            raise click.UsageError(f"--url: {error}") from None
        try:
            with shown:
                result = asyncio.run(self._ask(client, shown))
        except ConnectionFailed as error:
            # The client's own hints name arguments of its Python API.
            fix = "pass another token with --token or STREAMER_TOKEN" if self.token else _OPTION_OR_VARIABLE
            advice = fix if error.status == _UNAUTHORIZED else error.advice
            reason = "; ".join(filter(None, (error.reason, advice)))
            return _print_error(f"Cannot connect to {error.url}: {reason}", exits.NOT_CONNECTED)
        except ConnectionLost as error:
            return _print_error(str(error), exits.CONNECTION_LOST)
        except TimeoutError:
            return _print_error(f"no outcome within --timeout {self.timeout:g}s{self._goes_on()}", exits.TIMED_OUT)
        except KeyboardInterrupt:
            return _print_error(f"interrupted{self._goes_on()}", exits.INTERRUPTED)
        except RequestFailed as error:
            self._print_failure(error)
            return exits.of_code(error.code)
        self._print_result(result)
        return exits.SUCCESS

    async def _ask(self, client: StreamerClient, shown: Display) -> Result:
        try:
            return await self._outcome(client, shown)
        except asyncio.CancelledError:
            if self._unwritten is not None:
                raise self._unwritten from None
            raise

    async def _outcome(self, client: StreamerClient, shown: Display) -> Result:
        async with client, asyncio.timeout(self.timeout):
            handle = await client.submit(
                self.action, self.payload, id=self.request_id, metadata=self.metadata, wait=self.wait
            )
            self.request_id = handle.id
            if self.as_json:
                handle.on_message = self._message_writer()
            self.queued = await handle.acknowledged()
            if not self.queued:
                return await handle.outcome()
            shown.queued(handle.id)
            following = asyncio.create_task(self._follow(client, handle, shown))
            try:
                async for update in handle:
                    shown.report(update)
                result = await handle.outcome()
                shown.succeeded()
                return result
            finally:
                following.cancel()

    def _message_writer(self) -> Callable[[bytes], None]:
        """Writes each message of the service as one line, until the reader closes the output.

        The client calls it: an exception here would look to the client like a broken connection, and it would send the
        request again.
        """
        waiting = asyncio.current_task()
        assert waiting is not None, "called by the task that makes the call"

        def write(text: bytes) -> None:
            if self._unwritten is None:
                try:
                    write_json(json.loads(text), pretty=False)
                except (OSError, click.ClickException) as problem:
                    self._unwritten = problem
                    waiting.cancel()

        return write

    async def _follow(self, client: StreamerClient, handle: RequestHandle, shown: Display) -> None:
        """Shows the number of the running attempt. The service reports it only when queried."""
        from streamer.client import RequestFailed

        before = (1, 0)
        while shown.live:
            await SystemClock.sleep(LOOK)
            with contextlib.suppress(RequestFailed, KeyError, TypeError):
                status = await client.status(handle.id)
                attempt = (int(status["attempt"]), int(status["max_attempts"]))
                if attempt[0] > before[0]:
                    shown.attempt(*attempt)
                    before = attempt

    def _print_result(self, result: Result) -> None:
        if not self.as_json:
            write_json(result.data)

    def _print_failure(self, error: RequestFailed) -> None:
        if error.data is not None and not self.as_json:
            write_json(error.data)
        note(f"streamer: {error.code}: {' '.join(error.message.split())}")
        violations = error.violations
        if len(violations) == 1 and str(violations[0].get("message")) in error.message:
            # The message says it already.
            violations = []
        for violation in violations:
            where = violation.get("path") or "(the whole payload)"
            note(f"  {where}: {violation.get('message')}")
        others = {name: value for name, value in error.details.items() if name != "errors"}
        if others:
            note(f"  details: {json.dumps(others, ensure_ascii=False)}")

    def _goes_on(self) -> str:
        return f"; request {self.request_id!r} is queued and will continue" if self.queued else ""


def _print_error(message: str, status: int) -> int:
    note(f"streamer: {' '.join(message.split())}")
    return status
