"""A page of a listing costs a few small calls, whatever is stored and whoever asks."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from streamer.core.records import Status
from streamer.testing.conformance import lease_of, record
from streamer_aws.store import reader
from streamer_aws.store.store import DynamoStore

OWNER = "client:one"


class Heard:
    """Stands between a store and a client, and keeps what was answered."""

    def __init__(self, client):
        self.client = client
        self.calls = Counter()
        self.items = []

    def __getattr__(self, operation):
        async def call(**parameters):
            self.calls[operation] += 1
            answer = await getattr(self.client, operation)(**parameters)
            if operation == "batch_get_item":
                self.items += [item for items in answer["Responses"].values() for item in items]
            return answer

        return call


@pytest.fixture
async def heard(client, table, clock):
    heard = Heard(client)
    store = DynamoStore(heard, table, clock=clock)
    return heard, store


async def enqueued(store, clock, *keys, **changes):
    await asyncio.gather(*(store.enqueue(record(clock, name, owner=owner, **changes)) for owner, name in keys))
    clock.jump(1)


async def test_an_owner_with_one_request_among_many_of_others_reads_that_one(heard, clock):
    wire, store = heard
    await enqueued(store, clock, (OWNER, "mine"))
    await enqueued(store, clock, *((f"client:{n % 7}x", f"r{n}") for n in range(300)))
    wire.calls.clear()
    page = await store.list(owner=OWNER)
    assert ([one.id for one in page.requests], page.cursor) == (["mine"], None)
    assert wire.calls == {"query": 1, "batch_get_item": 1}
    assert len(wire.items) == 1


async def test_an_owner_with_no_request_reads_nothing(heard, clock):
    wire, store = heard
    await enqueued(store, clock, *(("client:other", f"r{n}") for n in range(30)))
    wire.calls.clear()
    assert await store.list(owner=OWNER) == ([], None)
    assert wire.calls == {"query": 1}


async def test_a_filter_looks_at_no_more_for_a_page_than_it_may_and_goes_on_with_the_next(heard, clock, monkeypatch):
    monkeypatch.setattr(reader, "LOOKED_AT", 20)
    monkeypatch.setattr(reader, "MOST", 10)
    wire, store = heard
    await enqueued(store, clock, (OWNER, "wanted"))
    await enqueued(store, clock, *((OWNER, f"r{n}") for n in range(50)))
    await store.cancel((OWNER, "wanted"))
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        wire.calls.clear()
        page = await store.list(owner=OWNER, status=Status.CANCELLED, cursor=cursor)
        assert wire.calls["query"] + wire.calls["batch_get_item"] <= 4
        seen += [one.id for one in page.requests]
        cursor, pages = page.cursor, pages + 1
    assert seen == ["wanted"]
    assert pages == 3


async def test_no_payload_no_result_and_no_history_is_read(heard, clock):
    wire, store = heard
    await enqueued(store, clock, *((OWNER, f"r{n}") for n in range(3)), payload=b'"' + b"x" * 100_000 + b'"')
    for one in (await store.claim("w", 3, 30.0)).records:
        await store.complete(lease_of(one), seq=1, result=b'"' + b"y" * 100_000 + b'"')
    wire.items.clear()
    assert len((await store.list(owner=OWNER)).requests) == 3
    assert len((await store.list()).requests) == 3
    assert len(await store.find("r1")) == 1
    assert len(wire.items) == 7
    assert not {"payload", "result", "history", "metadata", "principal"} & {
        name for item in wire.items for name in item
    }


async def test_what_is_away_in_a_bucket_is_not_fetched_for_a_listing(client, table, clock, s3, wired):
    bucket = wired(s3)
    store = DynamoStore(client, table, clock=clock, bucket="large", s3=bucket)
    await store.enqueue(record(clock, "r1", payload=b'"' + b"x" * 500_000 + b'"'))
    bucket.calls.clear()
    assert [one.id for one in (await store.list(owner=OWNER)).requests] == ["r1"]
    assert await store.undelivered(OWNER) == [(OWNER, "r1")]
    assert bucket.calls == {}


async def test_a_page_has_as_many_as_one_call_reads_and_says_where_it_goes_on(heard, clock, monkeypatch):
    monkeypatch.setattr(reader, "MOST", 10)
    _, store = heard
    await enqueued(store, clock, *((OWNER, f"r{n}") for n in range(25)))
    sizes, cursor = [], None
    while not sizes or cursor is not None:
        page = await store.list(owner=OWNER, limit=1000, cursor=cursor)
        sizes.append(len(page.requests))
        cursor = page.cursor
    assert sizes == [10, 10, 5]


async def test_resuming_reads_the_items_of_nothing_that_cannot_be_gone(heard, clock):
    wire, store = heard
    await enqueued(store, clock, *((OWNER, f"r{n}") for n in range(5)))
    wire.calls.clear()
    assert len(await store.undelivered(OWNER)) == 5
    assert wire.calls == {"query": 1}
