"""The records of the memory store that have not ended: who waits for a worker, and who for a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from streamer.contracts.stores import Key
from streamer.core.records import QUEUED, RequestRecord, Status, due, exhausted, expired, last_attempt
from streamer.queue.fairness import Lapsed, Lines, Place, Room


class Waiting:
    """An index over the store's own dictionary of records.

    Args:
        records: that dictionary.
        numbers: in what order they came.
    """

    def __init__(self, records: Mapping[Key, RequestRecord], numbers: Mapping[Key, int]) -> None:
        self._records = records
        self._numbers = numbers
        self._lines = Lines()
        self._places: dict[Key, Place] = {}
        """Where each record stands that waits for nothing but a worker: PENDING, or RETRYING and found to be due."""
        self._heaps: dict[Place, list[tuple[int, Key]]] = {}
        """The oldest record of each place first; those that are not in `_places` have left."""
        self._timed: dict[Key, None] = {}
        """Those that wait for a time: a retry or the end of a lease."""
        self._expiring: dict[Key, None] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter((*self._places, *self._timed))

    def changed(self, record: RequestRecord) -> None:
        """The record is new, or has become another."""
        key = record.key
        if key in self._places:
            if record.status not in QUEUED:
                self._leave(key)
        elif record.status is Status.PENDING:
            self._join(record)
        if record.terminal or key in self._places:
            self._timed.pop(key, None)
        else:
            self._timed[key] = None
        if record.expires_at is None or record.terminal:
            self._expiring.pop(key, None)
        else:
            self._expiring[key] = None

    def must_end(self, now: float) -> tuple[list[Key], list[Key]]:
        """Those whose worker died in their last attempt, and those that waited too long."""
        lost = [key for key in self._timed if due(self._records[key], now) and exhausted(self._records[key])]
        late = [key for key in self._expiring if expired(self._records[key], now) and key not in lost]
        return lost, late

    def fall_due(self, now: float) -> list[Lapsed]:
        """Lets the retries join the lines whose time has come. Returns the claims that ran out."""
        lapsed = []
        for record in [self._records[key] for key in self._timed]:
            if record.due_at is None or record.due_at > now:
                continue
            if record.status is Status.PROCESSING:
                lapsed.append(_lapsed(record, record.due_at))
            else:
                del self._timed[record.key]
                self._join(record)
        return lapsed

    def back_to(self, now: float) -> None:
        """Retries that joined the lines in the time that is yet to come again wait for it."""
        for key in [key for key in self._places if not due(self._records[key], now)]:
            self._leave(key)
            self._timed[key] = None

    def take(self, limit: int, room: Room, lapsed: list[Lapsed]) -> list[Key]:
        """Up to `limit` records whose turn it is; they have left the lines."""
        turns = self._lines.take(limit, room, lapsed)
        keys = [one.record if isinstance(one, Lapsed) else self._oldest(one) for one in turns]
        for one in turns:
            if isinstance(one, Place):
                self._tidy(one)
        return keys

    def next_due(self, now: float, room: Room) -> float | None:
        """When something can be taken next, as far as there is room for it."""
        if self._lines.fits(room):
            return now
        times = []
        for record in map(self._records.__getitem__, self._timed):
            if record.due_at is None or not room.for_action(record.action):
                continue
            if record.due_at > now:
                times.append(record.due_at)
            elif room.fits(_lapsed(record, record.due_at)):
                times.append(now)
        return min(times, default=None)

    def _join(self, record: RequestRecord) -> None:
        place = Place(record.action, record.priority, record.share, record.owner)
        self._lines.add(place)
        self._places[record.key] = place
        heapq.heappush(self._heaps.setdefault(place, []), (self._numbers[record.key], record.key))

    def _leave(self, key: Key) -> None:
        place = self._places.pop(key)
        self._lines.remove(place)
        self._tidy(place)

    def _oldest(self, place: Place) -> Key:
        heap = self._heaps[place]
        _, key = heapq.heappop(heap)
        while self._places.get(key) != place:
            _, key = heapq.heappop(heap)
        del self._places[key]
        return key

    def _tidy(self, place: Place) -> None:
        if place not in self._lines:
            self._heaps.pop(place, None)


def _lapsed(record: RequestRecord, due_at: float) -> Lapsed:
    return Lapsed(due_at, record.key, record.action, record.priority, record.tenant, last_attempt(record))
