"""The suite of subscriptions that several processes share.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import SubscriptionsConformance

    class TestMySubscriptions(SubscriptionsConformance):
        @pytest.fixture
        async def open_subscriptions(self, clock, database):
            return lambda: MySubscriptions(database, clock=clock)

Each call of `open_subscriptions` gives what one more process has of the same subscriptions; they begin empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.testing.clock import ManualClock

KEY: Final[Key] = ("client:one", "r1")
OTHER: Final[Key] = ("client:one", "r2")

Open = Callable[[], Subscriptions]


class OrphansConformance:
    """The promises of `Orphans`, one test each, for subscriptions that begin by `add` and end by `leave`."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that all processes must use."""
        return ManualClock()

    @pytest.fixture
    def subscriptions(self, open_subscriptions: Open) -> Subscriptions:
        """Those of one process."""
        return open_subscriptions()

    @pytest.fixture
    def elsewhere(self, open_subscriptions: Open) -> Subscriptions:
        """Those of another."""
        return open_subscriptions()

    async def test_a_request_is_orphaned_after_its_time_without_a_subscriber(
        self, subscriptions: Subscriptions, elsewhere: Subscriptions, clock: ManualClock
    ) -> None:
        await subscriptions.add(KEY, "c1", 30.0)
        await subscriptions.leave("c1")
        assert await elsewhere.orphaned() == []
        assert not await elsewhere.is_orphaned(KEY)
        await clock.advance(31)
        assert await elsewhere.orphaned() == [KEY]
        assert await elsewhere.is_orphaned(KEY)
        await elsewhere.clear(KEY)
        assert await subscriptions.orphaned() == []
        assert not await subscriptions.is_orphaned(KEY)

    async def test_a_request_with_another_subscriber_is_not_orphaned(
        self, subscriptions: Subscriptions, clock: ManualClock
    ) -> None:
        for connection in ("c1", "c2"):
            await subscriptions.add(KEY, connection, 30.0)
        await subscriptions.leave("c1")
        await clock.advance(31)
        assert not await subscriptions.is_orphaned(KEY)
        await subscriptions.leave("c2")
        await clock.advance(31)
        assert await subscriptions.is_orphaned(KEY)

    async def test_the_most_recent_loss_of_a_subscriber_counts(
        self, subscriptions: Subscriptions, clock: ManualClock
    ) -> None:
        await subscriptions.add(KEY, "c1", 30.0)
        await subscriptions.leave("c1")
        await clock.advance(20)
        await subscriptions.add(KEY, "c2", 30.0)
        await subscriptions.leave("c2")
        await clock.advance(20)
        assert await subscriptions.orphaned() == []
        assert not await subscriptions.is_orphaned(KEY)
        await clock.advance(11)
        assert await subscriptions.is_orphaned(KEY)

    async def test_no_more_orphans_are_returned_than_requested(
        self, subscriptions: Subscriptions, clock: ManualClock
    ) -> None:
        keys = {(KEY[0], f"r{number}") for number in range(5)}
        for key in keys:
            await subscriptions.add(key, "c1", 1.0)
        await subscriptions.leave("c1")
        await clock.advance(2)
        first = await subscriptions.orphaned(2)
        assert len(first) == 2
        for key in first:
            await subscriptions.clear(key)
        assert {*first, *await subscriptions.orphaned()} == keys


class SubscriptionsConformance(OrphansConformance):
    """The promises of `Subscriptions`, one test each. Subclass it and add an `open_subscriptions` fixture."""

    async def test_every_process_sees_a_new_subscriber_immediately(
        self, subscriptions: Subscriptions, elsewhere: Subscriptions
    ) -> None:
        assert await elsewhere.of(KEY) == []
        for connection in ("c2", "c1"):
            await subscriptions.add(KEY, connection)
        await elsewhere.add(OTHER, "c1")
        assert sorted(await elsewhere.of(KEY)) == ["c1", "c2"]
        assert await subscriptions.of(OTHER) == ["c1"]

    async def test_requests_with_similar_names_are_kept_apart(self, subscriptions: Subscriptions) -> None:
        keys = [("a", "b#c"), ("a#b", "c"), ("a", "B#c"), ("ä", "b" * 128), ("client:" + "x" * 500, "b")]
        for number, key in enumerate(keys):
            await subscriptions.add(key, f"c{number}")
        assert [await subscriptions.of(key) for key in keys] == [[f"c{number}"] for number in range(len(keys))]

    async def test_a_subscription_is_created_once(self, subscriptions: Subscriptions) -> None:
        for _ in range(2):
            await subscriptions.add(KEY, "c1")
        assert await subscriptions.of(KEY) == ["c1"]

    async def test_only_one_process_can_claim_an_outcome(
        self, subscriptions: Subscriptions, open_subscriptions: Open
    ) -> None:
        await subscriptions.add(KEY, "c1")
        claims = await asyncio.gather(*(open_subscriptions().claim(KEY, "c1") for _ in range(16)))
        assert claims.count(True) == 1
        assert await subscriptions.of(KEY) == []

    async def test_an_outcome_is_claimed_for_each_connection_separately(
        self, subscriptions: Subscriptions, elsewhere: Subscriptions
    ) -> None:
        for connection in ("c1", "c2"):
            await subscriptions.add(KEY, connection)
        assert await subscriptions.claim(KEY, "c1")
        assert await elsewhere.of(KEY) == ["c2"]
        assert await elsewhere.claim(KEY, "c2")

    async def test_an_outcome_without_a_subscription_cannot_be_claimed(self, subscriptions: Subscriptions) -> None:
        await subscriptions.add(KEY, "c1")
        assert not await subscriptions.claim(KEY, "c2")
        assert not await subscriptions.claim(OTHER, "c1")

    async def test_a_connection_that_subscribes_again_gets_the_outcome_again(
        self, subscriptions: Subscriptions
    ) -> None:
        await subscriptions.add(KEY, "c1")
        assert await subscriptions.claim(KEY, "c1")
        await subscriptions.add(KEY, "c1")
        assert await subscriptions.of(KEY) == ["c1"]
        assert await subscriptions.claim(KEY, "c1")

    async def test_an_old_claim_can_be_taken_over_once(
        self, subscriptions: Subscriptions, elsewhere: Subscriptions, clock: ManualClock
    ) -> None:
        await subscriptions.add(KEY, "c1")
        assert await subscriptions.claim(KEY, "c1")
        await clock.advance(20)
        old, older = clock.now() - 15, clock.now() - 25
        assert await elsewhere.of(KEY, older) == []
        assert not await elsewhere.claim(KEY, "c1", older)
        assert await elsewhere.of(KEY, old) == ["c1"]
        assert await elsewhere.claim(KEY, "c1", old)
        assert await subscriptions.of(KEY, old) == []
        assert not await subscriptions.claim(KEY, "c1", old)

    async def test_only_requests_that_end_with_their_subscribers_are_orphaned(
        self, subscriptions: Subscriptions, elsewhere: Subscriptions
    ) -> None:
        await subscriptions.add(KEY, "c1", 30.0)
        await subscriptions.add(OTHER, "c1")
        await subscriptions.add(KEY, "c2", 30.0)
        assert await elsewhere.leave("c1") == [(KEY, 30.0)]
        assert await elsewhere.leave("c1") == []
        assert await elsewhere.leave("never known") == []
        assert await subscriptions.of(KEY) == ["c2"]
