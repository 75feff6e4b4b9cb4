"""Who follows which request, as all processes see it."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ReadTimeoutError

from streamer.core.errors import StoreUnavailable
from streamer_aws.connections.rows import LIFETIME, SLACK
from streamer_aws.dynamodb import calls

KEY = ("client:one", "r1")


async def test_followers_are_those_who_were_not_told(subscriptions, new_subscriptions):
    assert await subscriptions.of(KEY) == []
    for name in ("c2", "c1"):
        await subscriptions.add(KEY, name)
    assert sorted(await new_subscriptions().of(KEY)) == ["c1", "c2"]
    assert await subscriptions.claim(KEY, "c1")
    assert await new_subscriptions().of(KEY) == ["c2"]
    await subscriptions.drop(KEY, "c2")
    assert await subscriptions.of(KEY) == []


@pytest.mark.parametrize("contenders", [32])
async def test_of_many_who_would_tell_one_may(subscriptions, new_subscriptions, contenders):
    await subscriptions.add(KEY, "c1")
    won = await asyncio.gather(*(new_subscriptions().claim(KEY, "c1") for _ in range(contenders)))
    assert won.count(True) == 1


async def test_nobody_tells_whoever_does_not_follow(subscriptions):
    assert await subscriptions.claim(KEY, "c1") is False


async def test_what_was_begun_to_be_told_long_ago_may_be_told_again_once(subscriptions, clock):
    await subscriptions.add(KEY, "c1")
    assert await subscriptions.claim(KEY, "c1")
    clock.jump(20)
    before = clock.now() - 15
    assert await subscriptions.of(KEY, before) == ["c1"]
    assert await subscriptions.claim(KEY, "c1", before)
    assert await subscriptions.of(KEY, before) == []
    assert await subscriptions.claim(KEY, "c1", before) is False


async def test_who_follows_anew_is_told_anew(subscriptions):
    await subscriptions.add(KEY, "c1")
    await subscriptions.claim(KEY, "c1")
    await subscriptions.add(KEY, "c1")
    assert await subscriptions.of(KEY) == ["c1"]


async def test_a_claim_whose_answer_was_lost_is_still_ours(subscriptions, new_subscriptions, client, clock):
    class Lossy:
        """Loses the first answer to a write. The table has done it."""

        lost = False

        def __getattr__(self, operation):
            async def call(**parameters):
                answer = await getattr(client, operation)(**parameters)
                if operation == "update_item" and not self.lost:
                    self.lost = True
                    raise ReadTimeoutError(endpoint_url="https://dynamodb")
                return answer

            return call

    await subscriptions.add(KEY, "c1")
    claiming = asyncio.create_task(new_subscriptions(Lossy()).claim(KEY, "c1"))
    while not claiming.done():
        # It waits a moment between its tries.
        await clock.advance(1.0 if clock.sleepers else 0.0)
    assert await claiming is True


@pytest.mark.parametrize("name", ["r", "x" * 128, "ä" * 128])
async def test_requests_of_long_names_and_like_names_are_kept_apart(subscriptions, name):
    keys = [("a", f"b#{name}"), ("a#b", name), (f"principal:{'%C3%A4' * 700}/ada", name), ("a" * 2100, name)]
    for number, key in enumerate(keys):
        await subscriptions.add(key, f"c{number}")
    assert [await subscriptions.of(key) for key in keys] == [["c0"], ["c1"], ["c2"], ["c3"]]


async def test_a_follower_older_than_a_connection_can_be_follows_no_more(subscriptions, clock):
    await subscriptions.add(KEY, "c1")
    clock.jump(LIFETIME + SLACK)
    assert await subscriptions.of(KEY) == []


async def test_more_followers_than_one_answer_holds_are_all_found(subscriptions):
    names = {f"connection-{n:03}-{'x' * 900}" for n in range(300)}
    for name in names:
        await subscriptions.add(KEY, name)
    assert set(await subscriptions.of(KEY)) == names


async def test_only_requests_that_end_with_their_followers_are_left(subscriptions, clock):
    other = ("client:one", "r2")
    await subscriptions.add(KEY, "c1", 30.0)
    await subscriptions.add(other, "c1")
    assert await subscriptions.leave("c1") == [(KEY, 30.0)]
    assert await subscriptions.leave("c1") == []
    assert await subscriptions.of(KEY) == []
    assert await subscriptions.of(other) == ["c1"]
    assert await subscriptions.orphaned() == []
    assert not await subscriptions.is_orphaned(KEY)
    clock.jump(30)
    assert await subscriptions.orphaned() == [KEY]
    assert await subscriptions.is_orphaned(KEY)
    await subscriptions.clear(KEY)
    assert await subscriptions.orphaned() == []
    assert not await subscriptions.is_orphaned(KEY)


async def test_whoever_comes_back_in_time_keeps_it_alive_and_the_newest_departure_counts(subscriptions, clock):
    await subscriptions.add(KEY, "c1", 30.0)
    await subscriptions.leave("c1")
    clock.jump(20)
    await subscriptions.add(KEY, "c2", 30.0)
    clock.jump(15)
    assert not await subscriptions.is_orphaned(KEY)
    await subscriptions.leave("c2")
    assert not await subscriptions.is_orphaned(KEY)
    assert await subscriptions.orphaned() == []
    clock.jump(30)
    assert await subscriptions.is_orphaned(KEY)


class Lagging:
    """A table whose indexes show nothing yet, and which fails where a test says so."""

    def __init__(self, client):
        self.client = client
        self.fails = set()

    def __getattr__(self, operation):
        async def call(**parameters):
            if "IndexName" in parameters:
                return {"Items": []}
            if operation in self.fails:
                self.fails.discard(operation)
                raise ReadTimeoutError(endpoint_url="https://dynamodb")
            return await getattr(self.client, operation)(**parameters)

        return call


async def test_a_connection_that_ends_at_once_leaves_its_requests_whatever_an_index_shows(
    subscriptions, new_subscriptions, client, clock
):
    lagging = new_subscriptions(Lagging(client))
    long = ("client:one", "r" * 128)
    wide = ("o" * 1500, "r2")
    for key in (KEY, long, wide):
        await lagging.add(key, "c1", 30.0)
    await lagging.add((KEY[0], "other"), "c1")
    assert sorted(await lagging.leave("c1")) == sorted([(KEY, 30.0), (long, 30.0), (wide, 30.0)])
    assert await lagging.leave("c1") == []
    clock.jump(31)
    assert await lagging.is_orphaned(wide)
    assert await subscriptions.of((KEY[0], "other")) == ["c1"]


@pytest.mark.parametrize("operation", ["put_item", "delete_item"])
async def test_an_end_that_was_written_down_in_part_is_written_down_by_whoever_says_it_again(
    new_subscriptions, client, clock, operation, monkeypatch
):
    monkeypatch.setattr(calls, "TRIES_UNHEARD", 1)
    wire = Lagging(client)
    rows = new_subscriptions(wire)
    await rows.add(KEY, "c1", 30.0)
    wire.fails.add(operation)
    with pytest.raises(StoreUnavailable):
        await rows.leave("c1")
    assert await rows.leave("c1") == [(KEY, 30.0)]
    clock.jump(31)
    assert await rows.is_orphaned(KEY)
