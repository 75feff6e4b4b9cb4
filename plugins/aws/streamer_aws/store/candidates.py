"""The candidates of a claim, from the index: entries, their lines, and fair turns. Pure functions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from streamer.core.records import Status
from streamer.queue.fairness import Capacity, ExpiredLease, FairKey, FairQueue
from streamer_aws.dynamodb.values import Item
from streamer_aws.store.items import joined

REMEMBERED: Final = 10_000
"""How many turns a process remembers; a line that was served longer ago is ordered by its oldest record."""


class Entry(NamedTuple):
    """A record as the index shows it, slightly out of date."""

    owner: str
    id: str
    place: str
    action: str
    priority: int
    tenant: str
    number: int
    status: Status
    fence: int
    attempts: int
    max_attempts: int
    due_at: float
    expires_at: float | None

    @property
    def line(self) -> FairKey:
        """Its line."""
        return FairKey(self.action, self.priority, self.tenant, self.owner)

    @property
    def waits(self) -> bool:
        """Whether it waits, and is not claimed by a worker."""
        return self.status is not Status.PROCESSING

    @property
    def last(self) -> bool:
        """As `records.last_attempt`."""
        return self.attempts + 1 >= self.max_attempts

    @property
    def expired_lease(self) -> ExpiredLease:
        """The same as a record with an expired lease."""
        return ExpiredLease(self.due_at, self, self.action, self.priority, self.tenant, self.last)

    @property
    def exhausted(self) -> bool:
        return not self.waits and self.attempts >= self.max_attempts

    def due(self, now: float) -> bool:
        return self.status is Status.PENDING or self.due_at <= now

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now and (self.waits or self.due_at <= now)


def to_entry(item: Item) -> Entry:
    """The entry of an item of the index."""
    return Entry(
        owner=item["owner"]["S"],
        id=item["id"]["S"],
        place=item["place"]["S"],
        action=item["action"]["S"],
        priority=int(item["priority"]["N"]),
        tenant=item["tenant"]["S"] if "tenant" in item else "",
        number=int(item["number"]["N"]),
        status=Status(item["status"]["S"]),
        fence=int(item["fence"]["N"]),
        attempts=int(item["attempts"]["N"]),
        max_attempts=int(item["max_attempts"]["N"]),
        due_at=float(item["due_at"]["N"]),
        expires_at=float(item["expires_at"]["N"]) if "expires_at" in item else None,
    )


class Turns:
    """The lines that were served last by this process.

    A line that was served moves behind all that wait by then; a new one is placed behind those that already wait. So a
    line's position is when it was last served, or when its oldest record arrived, whichever is later.
    """

    def __init__(self) -> None:
        self._served: OrderedDict[tuple[str | int, ...], int] = OrderedDict()

    def lines(self, entries: Iterable[Entry], now: float) -> FairQueue:
        """The lines of these entries, in the order of their turns."""
        counts: dict[FairKey, int] = {}
        since: dict[tuple[str | int, ...], int] = {}
        for entry in entries:
            line = entry.line
            counts[line] = counts.get(line, 0) + 1
            came = joined(entry.number, entry.due_at, now)
            for name in _names(line):
                since[name] = min(since.get(name, came), came)
        lines = FairQueue()
        for line in sorted(
            counts, key=lambda line: [max(since[name], self._served.get(name, 0)) for name in _names(line)]
        ):
            lines.add(line, counts[line])
        return lines

    def served(self, line: FairKey, at: int) -> None:
        """The line had its turn.

        Args:
            line: the line.
            at: in the order of the numbers of new records.
        """
        for name in _names(line):
            self._served[name] = at
            self._served.move_to_end(name)
        while len(self._served) > REMEMBERED:
            self._served.popitem(last=False)


def choose(entries: Iterable[Entry], limit: int, capacity: Capacity, turns: Turns, now: float) -> list[Entry]:
    """Up to `limit` of them in the order in which they must start; they are counted in `capacity`."""
    waiting: dict[FairKey, list[Entry]] = {}
    leases = []
    for entry in entries:
        if entry.waits:
            waiting.setdefault(entry.line, []).append(entry)
        else:
            leases.append(entry.expired_lease)
    for queue in waiting.values():
        queue.sort(key=lambda entry: entry.number, reverse=True)
    lines = turns.lines((entry for queue in waiting.values() for entry in queue), now)
    taken = lines.take(limit, capacity, leases)
    return [one.record if isinstance(one, ExpiredLease) else waiting[one].pop() for one in taken]


def _names(line: FairKey) -> tuple[tuple[str | int, ...], ...]:
    """The levels of a turn: the action, the tenant within it, the owner within that."""
    action = (line.priority, line.action)
    tenant = (*action, line.tenant)
    return action, tenant, (*tenant, line.owner)
