"""Workers that die, come back from the dead and lose answers, on a table that throttles: each request ends once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from streamer.core.errors import LeaseLost
from streamer.core.messages import ErrorBody
from streamer.testing.conformance import lease_of, record
from streamer_aws.store.store import DynamoStore

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long

LEASE = 30.0
REQUESTS = 60


async def test_every_request_ends_once_whatever_dies(client, table, clock, wired, error_of, seed):
    chance = random.Random(seed)
    wires = [wired(client) for _ in range(4)]
    stores = [DynamoStore(wire, table, clock=clock, shards=2) for wire in wires]
    ends = Counter()
    zombies = []

    def spoil():
        for wire in wires:
            wire.lose["update_item"] = chance.randrange(3)
            wire.lose["put_item"] = chance.randrange(3)
            wire.refuse["update_item"] = [error_of("ThrottlingException")] * chance.randrange(3)
            wire.refuse["query"] = [error_of("InternalServerError", status=500)] * chance.randrange(2)

    async def end(store, one):
        try:
            if chance.random() < 0.8:
                await store.complete(lease_of(one), seq=1, result=b"1")
            else:
                await store.fail(lease_of(one), seq=1, error=ErrorBody("E", "e"))
        except LeaseLost:
            return
        ends[one.id] += 1

    async def work(store, one):
        what = chance.choice(["end", "end", "die", "retry", "release", "sleep"])
        if what == "end":
            await end(store, one)
        elif what == "retry":
            await store.fail(lease_of(one), seq=1, error=ErrorBody("E", "e"), retry_at=clock.now() + 5)
        elif what == "release":
            await store.release([lease_of(one)])
        elif what == "sleep":
            zombies.append((store, one))

    for n in range(REQUESTS):
        assert await chance.choice(stores).enqueue(record(clock, f"r{n}", max_attempts=5)) is None
    for _ in range(200):
        spoil()
        claims = await asyncio.gather(*(store.claim("w", 6, LEASE) for store in stores))
        ends.update(one.id for claim in claims for one in claim.abandoned)
        await asyncio.gather(
            *(work(store, one) for store, claim in zip(stores, claims, strict=True) for one in claim.records)
        )
        clock.jump(LEASE / 3)
        while len(zombies) > 5:
            await end(*zombies.pop(chance.randrange(len(zombies))))
        if len(ends) == REQUESTS:
            break
    for zombie in zombies:
        await end(*zombie)
    assert ends == Counter({f"r{n}": 1 for n in range(REQUESTS)})
    counts = await stores[0].counts()
    assert sum(count for status, count in counts.items() if status in ("COMPLETED", "FAILED")) == REQUESTS
