"""The suite that every storage must pass. The store that `StorageQueue` makes of it has its own suite.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import StorageConformance

    class TestMyStorage(StorageConformance):
        @pytest.fixture
        async def storage(self, tmp_path):
            storage = await MyStorage.open(tmp_path / "queue")
            yield storage
            await storage.close()

It needs pytest and pytest-asyncio in auto mode. The fixture yields an empty storage.
"""

from __future__ import annotations

import math

import pytest

from streamer.contracts.storage import (
    Candidate,
    Change,
    Expiring,
    Filter,
    Line,
    LineCount,
    Query,
    Ready,
    Row,
    Storage,
    Timed,
)
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord, Status
from streamer.core.transitions import Cancelled, Claimed, Completed, Delivered, Event, Failed, advance
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, OWNER, record

LINE = Line("work", 0, "", OWNER)
NOW = 1_000_000.0


class StorageConformance:
    """The promises of `Storage`, one test each. Subclass it and add a `storage` fixture."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """For the times in the records."""
        return ManualClock(NOW)

    async def row(self, storage: Storage, given: RequestRecord) -> Row:
        """The row of a record."""
        (row,) = await storage.get([given.key])
        assert row is not None
        return row

    async def write(self, storage: Storage, given: RequestRecord, *events: Event) -> RequestRecord:
        """The record after these events, also in the storage."""
        for event in events:
            row = await self.row(storage, given)
            assert await storage.replace([Change(row.version, advance(row.record, event))]) == [True]
        return (await self.row(storage, given)).record

    async def ask(self, storage: Storage, query: Query) -> list[Candidate]:
        """The answer to one query."""
        (found,) = await storage.candidates([query])
        return found

    async def ids(self, storage: Storage, query: Query) -> list[str]:
        """The records that answer one query."""
        return [one.id for one in await self.ask(storage, query)]

    async def test_new_records_are_returned_whole_with_increasing_numbers(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        principal = Principal(user_id="u", tenant_id="t", permissions=frozenset({"read"}), claims={"n": [1, None]})
        given = [
            record(clock, "one", owner=principal.owner, principal=principal, payload=b'"' + b"x" * 100_000 + b'"'),
            record(clock, "nul \x00 ü \U0001f600 \r\n", metadata={"k": "v"}, priority=3, expires_at=NOW + 0.1),
            record(clock, "three", address="block"),
        ]
        assert await storage.insert(given) == [None, None, None]
        rows = [await self.row(storage, one) for one in given]
        assert [row.record for row in rows] == given
        assert [row.version for row in rows] == [1, 1, 1]
        assert rows[0].number < rows[1].number < rows[2].number
        assert await storage.get([("nobody", "one"), given[2].key]) == [None, rows[2]]
        assert await storage.get([]) == []
        assert await storage.insert([]) == []

    async def test_an_existing_key_is_not_changed_and_its_row_is_returned(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        first, other = record(clock, "r1"), record(clock, "r1", owner="client:two")
        await storage.insert([first])
        row = await self.row(storage, first)
        again = record(clock, "r1", payload=b"2")
        assert await storage.insert([again, other, record(clock, "r2")]) == [row, None, None]
        assert await self.row(storage, first) == row
        new = record(clock, "r3")
        answers = await storage.insert([new, record(clock, "r3", payload=b"3")])
        assert answers == [None, await self.row(storage, new)]
        assert (await self.row(storage, new)).record == new

    async def test_a_record_is_replaced_only_at_the_version_that_was_read(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        given = record(clock)
        await storage.insert([given])
        running = advance(given, Claimed(NOW, "w1", NOW + LEASE))
        assert await storage.replace([Change(1, running)]) == [True]
        row = await self.row(storage, given)
        assert (row.version, row.record) == (2, running)
        cancelled = advance(given, Cancelled(NOW))
        assert await storage.replace([Change(1, cancelled), Change(3, record(clock, "none"))]) == [False, False]
        assert await self.row(storage, given) == row
        assert await storage.replace([]) == []

    async def test_a_replacement_whose_answer_was_lost_can_be_repeated(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        given = record(clock)
        await storage.insert([given])
        running = advance(given, Claimed(NOW, "w1", NOW + LEASE))
        assert await storage.replace([Change(1, running)]) == [True]
        assert await storage.replace([Change(1, running)]) == [True]
        assert (await self.row(storage, given)).version == 2
        assert await storage.replace([Change(1, advance(given, Claimed(NOW, "w2", NOW + LEASE)))]) == [False]

    async def test_each_change_of_a_batch_succeeds_or_fails_alone(self, storage: Storage, clock: ManualClock) -> None:
        given = [record(clock, f"r{n}") for n in range(3)]
        await storage.insert(given)
        after = [advance(one, Cancelled(NOW)) for one in given]
        assert await storage.replace([Change(1, after[0]), Change(9, after[1]), Change(1, after[2])]) == [
            True,
            False,
            True,
        ]
        counts = await storage.counts()
        assert (counts[Status.CANCELLED], counts[Status.PENDING]) == (2, 1)

    async def test_lines_count_queued_requests(self, storage: Storage, clock: ManualClock) -> None:
        assert await storage.lines() == []
        principal = Principal(user_id="u", tenant_id="t")
        given = [record(clock, f"r{n}") for n in range(4)]
        other = record(clock, "other", owner=principal.owner, principal=principal, priority=2, action="rare")
        address = record(clock, "address", owner="client:two", address="block")
        await storage.insert([*given[:2], other, *given[2:], address])
        await self.write(storage, given[1], Claimed(NOW, "w", NOW + LEASE), Failed(NOW, 1, 1, BROKEN, NOW + 5))
        await self.write(storage, given[2], Claimed(NOW, "w", NOW + LEASE))
        await self.write(storage, given[3], Cancelled(NOW))
        assert await storage.lines() == [
            LineCount(LINE, 1, 1),
            LineCount(Line("rare", 2, "t", principal.owner), 1, 0),
            LineCount(Line("work", 0, address.share, "client:two"), 1, 0),
        ]

    async def test_the_head_of_a_line_contains_requests_that_could_start(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        given = [record(clock, f"r{n}") for n in range(5)]
        await storage.insert([*given, record(clock, "other", owner="client:two")])
        started = Claimed(NOW, "w", NOW + LEASE)
        await self.write(storage, given[0], started)
        await self.write(storage, given[1], started, Failed(NOW, 1, 1, BROKEN, NOW + 5))
        await self.write(storage, given[3], Cancelled(NOW))
        assert await self.ids(storage, Ready(LINE, NOW, 9)) == ["r2", "r4"]
        assert await self.ids(storage, Ready(LINE, NOW + 5, 9)) == ["r1", "r2", "r4"]
        assert await self.ids(storage, Ready(LINE, NOW + 5, 2)) == ["r1", "r2"]
        assert await self.ids(storage, Ready(LINE, -math.inf, 9)) == ["r2", "r4"]
        assert await self.ids(storage, Ready(Line("none", 0, "", OWNER), NOW, 9)) == []
        (one,) = await self.ask(storage, Ready(LINE, NOW, 1))
        assert (one.line, one.key, one.number) == (LINE, given[2].key, (await self.row(storage, given[2])).number)

    async def test_many_queries_are_answered_in_order(self, storage: Storage, clock: ManualClock) -> None:
        await storage.insert([record(clock, "a"), record(clock, "b", owner="client:two")])
        two = Ready(Line("work", 0, "", "client:two"), NOW, 5)
        found = await storage.candidates([two, Timed(Status.PROCESSING), Ready(LINE, NOW, 5)])
        assert [[one.id for one in ones] for ones in found] == [["b"], [], ["a"]]
        assert await storage.candidates([]) == []

    async def test_requests_that_wait_for_a_time_are_found_by_it(self, storage: Storage, clock: ManualClock) -> None:
        given = [record(clock, f"r{n}", action=f"a{n % 2}") for n in range(5)]
        await storage.insert(given)
        for n, due_at in ((0, 9), (1, 3), (2, 6)):
            started = Claimed(NOW, "w", NOW + LEASE)
            await self.write(storage, given[n], started, Failed(NOW, 1, 1, BROKEN, NOW + due_at))
        await self.write(storage, given[3], Claimed(NOW, "w", NOW + 4))
        retries = await self.ask(storage, Timed(Status.RETRYING))
        assert [(one.id, one.time) for one in retries] == [("r1", NOW + 3), ("r2", NOW + 6), ("r0", NOW + 9)]
        assert retries[0].line == Line("a1", 0, "", OWNER)
        assert await self.ids(storage, Timed(Status.RETRYING, after=NOW + 3, until=NOW + 9)) == ["r2", "r0"]
        assert await self.ids(storage, Timed(Status.RETRYING, action="a0", limit=1)) == ["r2"]
        assert await self.ids(storage, Timed(Status.PROCESSING)) == ["r3"]
        assert await self.ids(storage, Timed(Status.PROCESSING, until=NOW + 3.9)) == []
        await self.write(storage, given[3], Completed(NOW, 1, 1, b"1"))
        assert await self.ids(storage, Timed(Status.PROCESSING)) == []

    async def test_expiring_requests_are_found_while_queued(self, storage: Storage, clock: ManualClock) -> None:
        given = [record(clock, f"r{n}", expires_at=NOW + 9 - n) for n in range(4)]
        await storage.insert([*given, record(clock, "never")])
        started = Claimed(NOW, "w", NOW + LEASE)
        await self.write(storage, given[0], started, Failed(NOW, 1, 1, BROKEN, NOW + 5))
        await self.write(storage, given[2], started)
        found = await self.ask(storage, Expiring(math.inf, None))
        assert [(one.id, one.time) for one in found] == [("r3", NOW + 6), ("r1", NOW + 8), ("r0", NOW + 9)]
        assert await self.ids(storage, Expiring(NOW + 8, 9)) == ["r3", "r1"]
        assert await self.ids(storage, Expiring(math.inf, 1)) == ["r3"]
        await self.write(storage, given[3], Cancelled(NOW))
        assert await self.ids(storage, Expiring(NOW + 8, 9)) == ["r1"]

    async def test_pages_go_from_new_to_old_without_gaps_or_duplicates(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        for n in range(9):
            await storage.insert([record(clock, f"r{n}")])
            if n % 3 == 0:
                await clock.advance(1)
        seen: list[str] = []
        after = None
        while rows := await storage.page(Filter(), 4, after=after):
            seen += [row.record.id for row in rows]
            after = (rows[-1].record.created_at, rows[-1].number)
        assert seen == [f"r{n}" for n in reversed(range(9))]
        oldest = await storage.page(Filter(), 2, after=after, oldest_first=True)
        assert [row.record.id for row in oldest] == ["r1", "r2"]

    async def test_pages_can_be_filtered(self, storage: Storage, clock: ManualClock) -> None:
        given = [record(clock, "a"), record(clock, "a", owner="client:two"), record(clock, "b", action="rare")]
        await storage.insert(given)
        await self.write(storage, given[1], Cancelled(NOW), Delivered(NOW))

        async def found(**wanted: object) -> list[tuple[str, str]]:
            rows = await storage.page(Filter(**wanted), 9)  # type: ignore[arg-type]  # the test's own
            return sorted(row.record.key for row in rows)

        assert await found(owner=OWNER) == [(OWNER, "a"), (OWNER, "b")]
        assert await found(id="a") == [(OWNER, "a"), ("client:two", "a")]
        assert await found(status=Status.CANCELLED) == [("client:two", "a")]
        assert await found(action="rare", owner=OWNER) == [(OWNER, "b")]
        assert await found(undelivered=True) == [(OWNER, "a"), (OWNER, "b")]
        assert await found(action="none") == []

    async def test_requests_that_ended_long_ago_are_deleted_in_batches(
        self, storage: Storage, clock: ManualClock
    ) -> None:
        given = [record(clock, f"r{n}") for n in range(5)]
        await storage.insert(given)
        for one in given[:3]:
            await self.write(storage, one, Cancelled(NOW))
        await self.write(storage, given[3], Cancelled(NOW + 10))
        assert await storage.delete(NOW, 9) == 0
        assert await storage.delete(NOW + 5, 2) == 2
        assert await storage.delete(NOW + 5, 2) == 1
        left = await storage.page(Filter(), 9)
        assert {row.record.id for row in left} == {"r3", "r4"}
        assert await storage.insert([given[0]]) == [None]
        row = await self.row(storage, given[0])
        assert row.version == 1
        assert row.number > max(one.number for one in left), "numbers must be unique"

    async def test_a_value_is_kept_until_it_is_replaced(self, storage: Storage) -> None:
        assert await storage.keep("name", b"\x00first") == b"\x00first"
        assert await storage.keep("name", b"second") == b"\x00first"
        assert await storage.keep("name", b"third", replace=True) == b"third"
        assert await storage.keep("name", b"") == b"third"
        assert dict.fromkeys(Status, 0) | dict(await storage.counts()) == dict.fromkeys(Status, 0)

    async def test_a_storage_can_be_closed_twice(self, storage: Storage) -> None:
        await storage.close()
        await storage.close()
