"""Decides whether another request may wait: the limits of all owners together, and of one owner.

An exact count would need a second write for each request, all of them to one item. So the number is an estimate (see
`queue_count`): several processes may exceed `max_queued` by what the others stored since it was last counted. Only a
known count refuses a request, never a failed one.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import StoreUnavailable
from streamer.core.records import QUEUED, Status
from streamer.queue.common import owner_full, queue_full
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.store.items import Layout
from streamer_aws.store.queue_count import FULL_INTERVAL, READ_INTERVAL, QueueCount
from streamer_aws.store.table import OPEN_BY_OWNER

COUNT_INTERVAL: Final = READ_INTERVAL
OWNER_FULL_FOR: Final = 2.0
"""Seconds for which an owner at the limit is not counted again."""
MOST_FULL: Final = 1000
"""Maximum number of such owners that are remembered."""

__all__ = ["COUNT_INTERVAL", "FULL_INTERVAL", "QueueCapacity"]


class QueueCapacity:
    """The remaining capacity.

    Args:
        calls: to the table.
        layout: of the indexes.
        clock: time.
        max_queued: the limit of waiting requests.
        max_queued_per_owner: the limit of one owner; None: no limit of its own.
    """

    def __init__(
        self, calls: Calls, layout: Layout, clock: Clock, max_queued: int, max_queued_per_owner: int | None
    ) -> None:
        self.count = QueueCount(calls, layout, clock, max_queued, swept=layout.ended_undelivered)
        self._calls = calls
        self._clock = clock
        self._max_queued = max_queued
        self._max_queued_per_owner = max_queued_per_owner
        self._entering: Counter[Key] = Counter()
        """Requests that are being stored: a count may include them, or not."""
        self._full_owners: dict[str, float] = {}
        """Until when these owners count as being at the limit."""

    async def enter(self, key: Key) -> None:
        """A request is about to be stored; call `left` if it is not, `entered` when it is.

        Raises:
            Error: OVERLOADED.
        """
        await self.count.refresh()
        if self.count.queued >= self._max_queued:
            raise queue_full(self._max_queued)
        self.count.more(1)
        self._entering[key] += 1
        # No owner can have more than all owners together: an owner is counted only when that many wait in total.
        if self._max_queued_per_owner is None or self.count.queued <= self._max_queued_per_owner:
            return
        try:
            full = await self._full(key[0], self._max_queued_per_owner)
        except StoreUnavailable:
            # A failed count refuses nobody; the write itself shows whether the table accepts more.
            return
        except BaseException:
            self.left(key)
            raise
        if full:
            self.left(key)
            raise owner_full(self._max_queued_per_owner)

    def left(self, key: Key) -> None:
        """The request was not stored."""
        self.count.more(-1)
        self.entered(key)

    def entered(self, key: Key) -> None:
        """The request is stored."""
        self._entering[key] -= 1
        if not self._entering[key]:
            del self._entering[key]

    def less(self, count: int) -> None:
        """This many requests no longer wait."""
        self.count.more(-count)

    def changed(self, before: Status, after: Status) -> None:
        """A record's state changed."""
        self.count.more((after in QUEUED) - (before in QUEUED))

    async def _full(self, owner: str, limit: int) -> bool:
        now = self._clock.monotonic()
        if self._full_owners.get(owner, now) > now:
            return True
        full = await self._counts_as_full(owner, limit)
        self._full_owners.pop(owner, None)
        if full:
            if len(self._full_owners) >= MOST_FULL:
                del self._full_owners[next(iter(self._full_owners))]
            self._full_owners[owner] = self._clock.monotonic() + OWNER_FULL_FOR
        return full

    async def _counts_as_full(self, owner: str, limit: int) -> bool:
        """Whether the owner has more waiting requests than that, including those that are being stored.

        First counts the owner's unfinished and undelivered requests, which are at least the waiting ones; their states
        are read only if there are too many.
        """
        keys = await self._calls.pages(
            IndexName=OPEN_BY_OWNER,
            ConsistentRead=True,
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": owner}},
        )
        entering = {request_id for of, request_id in self._entering if of == owner}
        if len(entering | {key["id"]["S"] for key in keys}) <= limit:
            return False
        items = await self._calls.get_many(
            ({"owner": key["owner"], "id": key["id"]} for key in keys), attributes=("id", "status")
        )
        waiting = {item["id"]["S"] for item in items if Status(item["status"]["S"]) in QUEUED}
        return len(entering | waiting) > limit
