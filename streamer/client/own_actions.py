"""The service's own actions, as methods of the client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

_Actions = list[dict[str, Any]]


class OwnActions(ABC):
    """The actions of every service, built on `request`. Each raises the errors of `request`."""

    @abstractmethod
    async def request(self, action: str, payload: Any = None) -> Any:
        """Sends a request and returns the result's data."""

    async def ping(self) -> Any:
        """Checks that the service responds: `pong` and its time."""
        return await self.request("streamer.ping")

    async def actions(self) -> _Actions:
        """The actions that this client may request. Each has its name (`action`), description, schema, estimate in
        seconds and whether it is queued.
        """
        answer: dict[str, _Actions] = await self.request("streamer.actions")
        return answer["actions"]

    async def status(self, request_id: str) -> Any:
        """The state of one of this client's queued requests: status, attempt, percentage, times, and its result once
        ended.

        Raises:
            NotFound: no such request, or another client's.
        """
        return await self.request("streamer.status", {"request_id": request_id})

    async def list(self, status: str | None = None, limit: int | None = None, cursor: str | None = None) -> Any:
        """This client's queued requests, newest first: an object with `requests` and `cursor`.

        Args:
            status: only requests with this status, such as `PROCESSING`.
            limit: the maximum number of requests.
            cursor: the `cursor` of the previous page; it is null when there are no more.
        """
        asked = {"status": status, "limit": limit, "cursor": cursor}
        return await self.request("streamer.list", {name: value for name, value in asked.items() if value is not None})

    async def cancel(self, request_id: str) -> Any:
        """Cancels one of this client's queued requests: an object with `request_id` and `status`.

        Raises:
            Conflict: it has already ended.
            NotFound: no such request, or another client's.
        """
        return await self.request("streamer.cancel", {"request_id": request_id})
