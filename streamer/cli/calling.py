"""One request to a running service, from its sending to its exit status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from streamer.cli import exits
from streamer.cli.output import write_json
from streamer.cli.progress import Show, printable, shown_progress
from streamer.core.clock import timestamp

if TYPE_CHECKING:
    from streamer.client import RequestFailed, StreamerClient
    from streamer.core.messages import ProgressUpdate, Result


_UNAUTHORIZED = 401
_GIVE_ONE = "give one by --token or STREAMER_TOKEN"


@dataclass(slots=True, kw_only=True)
class Call:
    """What to send, and how to show what comes of it."""

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
    """Whether a connection that breaks is opened again."""
    queued: bool = False
    """Whether the service has acknowledged it; then it goes on without us."""

    def run(self) -> int:
        """Makes the call, shows what comes of it and returns the exit status."""
        from streamer.client import ConnectionFailed, ConnectionLost, RequestFailed, StreamerClient
        from streamer.client.tokens import UnusableToken

        try:
            client = StreamerClient(self.url, self.client_id, token=self.token, reconnect=self.reconnect)
        except UnusableToken as error:
            raise click.UsageError(f"--token: {error}") from None
        except ValueError as error:
            raise click.UsageError(f"--url: {error}") from None
        try:
            with shown_progress(self.action, quiet=self.as_json or not self.show_progress) as show:
                result = asyncio.run(self._ask(client, show))
        except ConnectionFailed as error:
            # The client's own advice names its arguments.
            hint = "give another token by --token or STREAMER_TOKEN" if self.token else _GIVE_ONE
            advice = hint if error.status == _UNAUTHORIZED else error.advice
            told = "; ".join(filter(None, (error.reason, advice)))
            return _said(f"Cannot connect to {error.url}: {told}", exits.NOT_CONNECTED)
        except ConnectionLost as error:
            return _said(str(error), exits.CONNECTION_LOST)
        except TimeoutError:
            return _said(f"no outcome within the --timeout of {self.timeout:g}s{self._goes_on()}", exits.TIMED_OUT)
        except KeyboardInterrupt:
            return _said(f"interrupted{self._goes_on()}", exits.INTERRUPTED)
        except RequestFailed as error:
            self._tell_failure(error)
            return exits.of_code(error.code)
        self._tell_result(result)
        return exits.SUCCESS

    async def _ask(self, client: StreamerClient, show: Show) -> Result:
        async with client, asyncio.timeout(self.timeout):
            handle = await client.submit(
                self.action, self.payload, id=self.request_id, metadata=self.metadata, wait=self.wait
            )
            self.request_id = handle.id
            self.queued = await handle.acknowledged()
            if self.queued and self.as_json:
                write_json({"type": "acknowledgment", "request_id": handle.id, "status": "queued"}, pretty=False)
            async for update in handle:
                show(update)
                if self.as_json:
                    write_json(_progress_message(handle.id, update), pretty=False)
            return await handle.outcome()

    def _tell_result(self, result: Result) -> None:
        if not self.as_json:
            write_json(result.data)
            return
        kind, field = ("complete", "result") if self.queued else ("response", "data")
        message = {"type": kind, "request_id": self.request_id, "success": True, field: result.data}
        if result.metadata is not None:
            message["metadata"] = result.metadata
        write_json(message, pretty=False)

    def _tell_failure(self, error: RequestFailed) -> None:
        if self.as_json:
            body = {
                "code": error.code,
                "message": error.message,
                "retryable": error.retryable,
                "details": error.details,
            }
            message = {"type": "error", "request_id": error.request_id, "error": body}
            if error.data is not None:
                message["data"] = error.data
            write_json(message, pretty=False)
        elif error.data is not None:
            write_json(error.data)
        click.echo(f"streamer: {printable(error.code)}: {printable(error.message)}", err=True)
        for violation in error.violations:
            where = violation.get("path") or "(the whole payload)"
            click.echo(f"  {printable(str(where))}: {printable(str(violation.get('message')))}", err=True)
        others = {name: value for name, value in error.details.items() if name != "errors"}
        if others:
            click.echo(f"  details: {printable(json.dumps(others, ensure_ascii=False))}", err=True)

    def _goes_on(self) -> str:
        return f"; request {self.request_id!r} is queued and goes on" if self.queued else ""


def _progress_message(request_id: str, update: ProgressUpdate) -> dict[str, Any]:
    message: dict[str, Any] = {
        "type": "progress",
        "request_id": request_id,
        "percentage": update.percentage,
        "message": update.message,
        "timestamp": timestamp(update.timestamp),
    }
    if update.metadata is not None:
        message["metadata"] = update.metadata
    return message


def _said(message: str, status: int) -> int:
    click.echo(f"streamer: {message}", err=True)
    return status
