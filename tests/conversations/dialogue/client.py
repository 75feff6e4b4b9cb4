"""What every client can be asked for, and what is the same for all of them."""

from __future__ import annotations

import asyncio
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from dialogue.relay import Connection, Message, Relay

GUARD = 90.0
"""Seconds after which something that is waited for does not come any more."""
TERMINAL = ("response", "complete", "error")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MADE = re.compile(r"(req|msg)_[0-9A-Za-z]{10,}")

numbers = itertools.count()


class Refused(Exception):
    """The service did not let the client in; `status` is how it answered the handshake."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class Client(ABC):
    """One client of any make, behind a relay that hears what the service tells it.

    Args:
        relay: its way to the service.
        client_id: of whom the requests are, where nobody proves who asks.
        token: proves who asks.
        query: more for the address.
    """

    def __init__(self, relay: Relay, client_id: str | None, token: str | None, query: str = "") -> None:
        self.relay = relay
        self.client_id = client_id
        self.token = token
        self.query = query

    @property
    def url(self) -> str:
        """The address, with all that is asked for in it."""
        asked = urlencode({"client_id": self.client_id}) if self.client_id else ""
        query = "&".join(filter(None, (asked, self.query)))
        return self.relay.url + (f"?{query}" if query else "")

    @property
    def connection(self) -> Connection:
        """The newest."""
        return self.relay.connections[-1]

    async def open(self) -> None:
        """Connects.

        Raises:
            Refused: the service did not want it.
        """
        if not await self.dial():
            raise Refused(self.connection.status)

    # What each make does in its own way.

    @abstractmethod
    async def dial(self) -> bool:
        """Whether the service let it in."""

    @abstractmethod
    async def ask(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str,
        wait: str | float | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Sends a request."""

    @abstractmethod
    async def resume(self, request_id: str) -> None:
        """Follows a request that another client has made."""

    @abstractmethod
    async def cancel(self, request_id: str) -> None:
        """Has a request cancelled, and returns when the service has said that it is."""

    @abstractmethod
    async def authenticate(self, token: str) -> Any:
        """What the service answers to a new token."""

    @abstractmethod
    async def survive(self, request_id: str) -> None:
        """Goes on with a request after a cut."""

    @abstractmethod
    async def confirm(self, request_id: str, heard: list[Message]) -> None:
        """Raises AssertionError unless the client has made of the messages what they say."""

    @abstractmethod
    async def closed(self) -> int:
        """The code with which the service ended the connection, as the client tells it."""

    @abstractmethod
    async def close(self) -> None:
        """Leaves."""

    # What is the same for all.

    def about(self, request_id: str) -> list[Message]:
        """What was said of the request so far, over all connections."""
        return [
            message
            for connection in self.relay.connections
            for message in connection.messages
            if message.get("request_id") == request_id
        ]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What the condition says, once that is something."""
        async with asyncio.timeout(GUARD):
            while not (value := condition()):
                await self.relay.news()
        return value

    async def said(self, request_id: str, kind: str, **fields: Any) -> Message:
        """The first message of that type and those fields about the request."""

        def found() -> Message | None:
            for message in self.about(request_id):
                if message["type"] == kind and fields.items() <= message.items():
                    return message
            return None

        try:
            message: Message = await self.until(found)
        except TimeoutError:
            raise AssertionError(f"no {kind} {fields} of {request_id} came, only {self.about(request_id)}") from None
        return message

    async def heard(self, request_id: str) -> list[Message]:
        """All that was said of the request until its end, as it is the same everywhere."""
        try:
            await self.until(lambda: any(message["type"] in TERMINAL for message in self.about(request_id)))
        except TimeoutError:
            raise AssertionError(f"{request_id} did not end: {self.about(request_id)}") from None
        messages = self.about(request_id)
        await self.confirm(request_id, messages)
        return normal(messages)

    async def call(self, action: str, payload: Any = None) -> Any:
        """The data of a direct answer, or its error."""
        request_id = f"call-{next(numbers)}"
        await self.ask(action, payload, id=request_id)
        (answer,) = await self.heard(request_id)
        return answer["data"] if answer["type"] == "response" else answer["error"]

    async def status_becomes(self, request_id: str, status: str) -> None:
        """Asks until the service says so."""
        async with asyncio.timeout(GUARD):
            while (await self.call("streamer.status", {"request_id": request_id}))["status"] != status:
                pass

    async def nothing_more(self, request_id: str) -> None:
        """Raises AssertionError if the service says anything of the request before it has answered something else."""
        count = len(self.about(request_id))
        for _ in range(2):
            await self.call("echo")
        assert len(self.about(request_id)) == count, self.about(request_id)[count:]

    def resumed(self) -> bool:
        """Whether a new connection stands on which the service has answered."""
        return len(self.relay.connections) > 1 and any(
            message["type"] == "response" for message in self.connection.messages
        )

    def ends(self, request_id: str) -> int:
        """How many terminal messages of the request came on the newest connection."""
        mine = [message for message in self.connection.messages if message.get("request_id") == request_id]
        return sum(message["type"] in TERMINAL for message in mine)


def normal(messages: list[Message]) -> list[Message]:
    """The messages without what is new each time: times, ids that the service made, and `seq`, which must rise."""
    numbered = [message["seq"] for message in messages if "seq" in message]
    assert numbered == sorted(set(numbered)), f"seq does not rise: {messages}"
    return [_normal({name: value for name, value in message.items() if name != "seq"}) for message in messages]


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _normal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    if isinstance(value, str):
        return "<time>" if TIME.fullmatch(value) else "<id>" if MADE.fullmatch(value) else value
    return value
